import hashlib
import http.server
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from idpatch_core.download import FILES, DownloadError, ModelFile, fetch, main

CONTENT = bytes(range(256)) * 40_000  # ten megabytes, so that it comes in several chunks


class Site(NamedTuple):
    url: str
    ranges: list[str | None]  # of each request


@pytest.fixture
def site() -> Iterator[Site]:
    """A server on the loopback that knows one file and ranges, and may break off."""
    ranges = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            ranges.append(self.headers["Range"])
            if not self.path.endswith("model.bin"):
                return self.send_error(404)
            start = int((self.headers["Range"] or "bytes=0-")[6:-1])
            if start >= len(CONTENT):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
                return self.end_headers()
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            end = 3_000_000 if "breaks" in self.path and not start else len(CONTENT)
            self.wfile.write(CONTENT[start:end])

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Site(f"http://127.0.0.1:{server.server_port}", ranges)
    server.shutdown()
    server.server_close()


def model(url: str, sha256: str = "") -> ModelFile:
    return ModelFile("it", url, "idpatch", "10 MB", "none", sha256)


def test_a_file_comes_into_its_folder(site, tmp_path):
    seen = []
    path = fetch(model(f"{site.url}/model.bin"), tmp_path, lambda *args: seen.append(args))
    assert path == tmp_path / "idpatch" / "model.bin"
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [file.name for file in path.parent.iterdir()] == ["model.bin"]


def test_a_broken_download_goes_on_where_it_stopped(site, tmp_path):
    file = model(f"{site.url}/breaks/model.bin")
    with pytest.raises(DownloadError, match="Run the command again"):
        fetch(file, tmp_path)
    assert not (tmp_path / "idpatch" / "model.bin").exists()
    assert fetch(file, tmp_path).read_bytes() == CONTENT
    assert site.ranges == [None, "bytes=3000000-"]


def test_a_whole_part_is_only_renamed(site, tmp_path):
    part = tmp_path / "idpatch" / "model.bin.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT)
    assert fetch(model(f"{site.url}/model.bin"), tmp_path).read_bytes() == CONTENT
    assert not part.exists()


def test_a_file_that_is_there_is_left_alone(site, tmp_path):
    (tmp_path / "idpatch").mkdir()
    (tmp_path / "idpatch" / "model.bin").write_text("mine")
    assert fetch(model(f"{site.url}/model.bin"), tmp_path).read_text() == "mine"
    assert site.ranges == []


def test_a_known_hash_is_checked(site, tmp_path):
    right = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(DownloadError, match="its hash differs"):
        fetch(model(f"{site.url}/model.bin", "0" * 64), tmp_path)
    assert list((tmp_path / "idpatch").iterdir()) == []
    assert fetch(model(f"{site.url}/model.bin", right), tmp_path).read_bytes() == CONTENT


def test_the_command_says_what_it_downloads(site, tmp_path, capsys):
    files = [model(f"{site.url}/model.bin")]
    assert main(["--models", str(tmp_path), "it"], files) == 0
    output = capsys.readouterr().out
    assert f"Downloading {site.url}/model.bin (10 MB; licence: none)" in output
    assert f"Wrote {tmp_path / 'idpatch' / 'model.bin'}" in output
    assert main(["--models", str(tmp_path), "it"], files) == 0
    assert "exists" in capsys.readouterr().out


def test_the_command_fails_with_the_reason(site, tmp_path, capsys):
    assert main(["--models", str(tmp_path), "it"], [model(f"{site.url}/gone")]) == 1
    assert "404" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"), [(["--models", "/no/where"], "no folder"), (["x"], "--models")]
)
def test_wrong_arguments_are_explained(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


def test_the_released_files_go_where_the_nodes_look():
    assert [file.path for file in FILES] == [
        "idpatch/id-patch.bin",
        "controlnet/diffusion_pytorch_model.safetensors",
        "facexlib/recognition_arcface_ir_se50.pth",
        "checkpoints/sd_xl_base_1.0.safetensors",
    ]
