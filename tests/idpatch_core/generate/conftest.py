import pytest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ada.jpg").write_bytes(b"a face")
    return tmp_path
