"""`serve`: one folder, one server, and what stays when it ends."""

import threading

import pytest

import dicomloom
from pages import run_page
from serve_peers import IMPLICIT_CT, Raw, echoes, serving, small, stored


def test_a_folder_has_one_server(tmp_path):
    with serving(tmp_path):
        with pytest.raises(dicomloom.WriteError, match="another server"):
            dicomloom.serve(tmp_path, port=0)
    with serving(tmp_path) as (server, _):
        assert echoes(server.port)


def test_what_was_stored_is_there_after_a_restart(tmp_path):
    with serving(tmp_path) as (server, _), Raw(server.port) as raw:
        raw.associate(IMPLICIT_CT)
        for number in range(50):
            raw.store(f"1.2.{number}", small(f"1.2.{number}"))
            assert raw.status() == 0
    assert len(stored(tmp_path)) == 50
    (tmp_path / "index.sqlite").unlink()
    next(tmp_path.rglob("1.2.7.dcm")).unlink()
    with serving(tmp_path) as (server, _):
        node = f"ANY@127.0.0.1:{server.port}"
        keys = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1"}
        assert len(list(dicomloom.find(node, "IMAGE", keys))) == 49


def test_it_is_closed_from_another_thread(tmp_path):
    with serving(tmp_path) as (server, _):
        assert not server.wait(0)
        assert server.associations == 0
        threading.Timer(0.05, server.close).start()
        assert server.wait(10)
        server.close()
        with pytest.raises(dicomloom.ConnectionFailed):
            echoes(server.port)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ae_title": "much too long a title"},
        {"allow_from": ["10.0.0.0/99"]},
        {"allow_calling": [""]},
        {"duplicates": "both"},
        {"tls_key": "key.pem"},
        {"nodes": ["nowhere"]},
        {"port": 1 << 20},
        {"max_associations": 0},
    ],
)
def test_arguments_that_make_no_sense(tmp_path, wrong):
    with pytest.raises((ValueError, dicomloom.NodeError)):
        dicomloom.serve(tmp_path, **{"port": 0, **wrong})
    with serving(tmp_path):  # nothing was left behind
        pass


def test_the_page(tmp_path):
    assert "DICOMLOOM" in run_page("serve.md", "sh", tmp_path)
    assert run_page("serve.md", "python", tmp_path) == "1.2.840.10008.1.2.1\n0\n"
