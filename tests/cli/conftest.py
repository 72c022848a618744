import pytest

from faults import native_object, noise


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    return native_object(folder / "in.dcm", noise(10, 32, 48))
