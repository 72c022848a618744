"""What is held goes out as it is, or in another uncompressed transfer syntax."""

import io

import pydicom
import pytest
from pynetdicom import AE, build_context, build_role, evt

from serve_peers import CT, IMPLICIT_CT, Raw, serving, small
from support import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, part10

GET = "1.2.840.10008.5.1.4.1.2.2.3"
J2K = "1.2.840.10008.1.2.4.90"


def get(port, syntax):
    """All objects of a study, as (data set, transfer syntax), and the final status."""
    got = []

    def store(event):
        got.append((event.request.DataSet.getvalue(), event.context.transfer_syntax))
        return 0

    contexts = [build_context(GET), build_context(CT, syntax)]
    association = AE().associate(
        "127.0.0.1",
        port,
        contexts,
        ext_neg=[build_role(CT, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, store)],
    )
    keys = pydicom.Dataset()
    keys.QueryRetrieveLevel, keys.StudyInstanceUID = "STUDY", "1.2.3"
    statuses = [status.Status for status, _ in association.send_c_get(keys, GET)]
    association.release()
    return got, statuses[-1]


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE])
def test_what_is_uncompressed_becomes_what_the_receiver_takes(tmp_path, syntax):
    with serving(tmp_path) as (server, _):
        with Raw(server.port) as raw:
            raw.associate(IMPLICIT_CT, (3, CT, [EXPLICIT_LE]))
            raw.store("1.2.3.4", small())
            assert raw.status() == 0
            raw.store("1.2.3.5", small("1.2.3.5", implicit=False), context=3)
            assert raw.status() == 0
        got, status = get(server.port, syntax)
    assert (status, len(got)) == (0, 2)
    for data, used in got:
        assert used == syntax
        read = pydicom.filereader.read_dataset(io.BytesIO(data), syntax == IMPLICIT_LE, True)
        assert read.PatientID == "P1"
    same = small() if syntax == IMPLICIT_LE else small("1.2.3.5", implicit=False)
    assert same in [data for data, _ in got]  # what need not be changed is not


def test_what_is_compressed_is_not_sent_otherwise(tmp_path):
    with serving(tmp_path) as (server, _):
        with Raw(server.port) as raw:
            raw.associate((1, CT, [J2K]), (3, CT, [EXPLICIT_BE]), (5, CT, [DEFLATED]))
            raw.store("1.2.3.4", small(implicit=False))
            assert raw.status() == 0
        assert get(server.port, EXPLICIT_LE) == ([], 0xA702)
        got, status = get(server.port, J2K)
    assert status == 0
    assert [data for data, _ in got] == [small(implicit=False)]


def test_files_put_there_by_hand(tmp_path):
    data = small(implicit=False)
    (tmp_path / "by hand.dcm").write_bytes(part10(data, extra_meta=b"\2\0\x02\1OB\0\0\4\0\0\0abcd"))
    with serving(tmp_path) as (server, _):
        got, status = get(server.port, EXPLICIT_LE)
    assert (got, status) == ([(data, EXPLICIT_LE)], 0)


def test_a_file_that_has_gone_is_a_failed_sub_operation(tmp_path):
    with serving(tmp_path) as (server, _):
        with Raw(server.port) as raw:
            raw.associate(IMPLICIT_CT)
            for uid in ("1.2.3.4", "1.2.3.5"):
                raw.store(uid, small(uid))
                assert raw.status() == 0
        assert get(server.port, IMPLICIT_LE)[1] == 0
        next(tmp_path.rglob("1.2.3.4.dcm")).unlink()
        got, status = get(server.port, IMPLICIT_LE)
    assert ([data for data, _ in got], status) == ([small("1.2.3.5")], 0xB000)
