import hashlib
import http.server
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from idpatch_core import download
from idpatch_core.download import FILES, DownloadError, ModelFile, fetch, main

CONTENT = bytes(range(256)) * 40_000  # ten megabytes, so that it comes in several chunks


SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Site(NamedTuple):
    url: str
    ranges: list[str | None]  # of each request for the file itself


@pytest.fixture
def site() -> Iterator[Site]:
    """A server on the loopback that knows one file and ranges, and may break off.

    Below /linked/ it redirects to the file, as Hugging Face does, with the hash; below /wrong/ with
    another file's.
    """
    ranges = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            hashes = {"/linked/": SHA256, "/wrong/": "0" * 64}
            for folder, sha256 in hashes.items():
                if self.path.startswith(folder):
                    self.send_response(302)
                    self.send_header("Location", self.path.removeprefix(folder[:-1]))
                    self.send_header("X-Linked-ETag", f'"{sha256}"')
                    return self.end_headers()
            if self.command == "GET":
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
            if self.command == "HEAD":
                return None
            end = 3_000_000 if "breaks" in self.path and not start else len(CONTENT)
            return self.wfile.write(CONTENT[start:end])

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield Site(f"http://127.0.0.1:{server.server_port}", ranges)
    server.shutdown()
    server.server_close()


def model(url: str, sha256: str = "") -> ModelFile:
    return ModelFile("it", url, "idpatch/model.bin", "10 MB", "none", sha256)


@pytest.fixture
def part(tmp_path):
    """Where an unfinished download is kept."""
    (tmp_path / "idpatch").mkdir()
    return tmp_path / "idpatch" / "model.bin.part"


def test_a_file_comes_into_its_folder(site, tmp_path):
    seen = []
    file = model(f"{site.url}/model.bin")
    path, digest, compared = fetch(file, tmp_path, lambda *args: seen.append(args))
    assert path == tmp_path / "idpatch" / "model.bin"
    assert path.read_bytes() == CONTENT
    assert (digest, compared) == (SHA256, False)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [file.name for file in path.parent.iterdir()] == ["model.bin"]


@pytest.mark.parametrize("folder", ["", "/linked"])
def test_a_broken_download_goes_on_where_it_stopped(site, tmp_path, folder):
    file = model(f"{site.url}{folder}/breaks/model.bin")
    with pytest.raises(DownloadError, match="Run the command again"):
        fetch(file, tmp_path)
    assert not (tmp_path / "idpatch" / "model.bin").exists()
    path, digest, compared = fetch(file, tmp_path)
    assert path.read_bytes() == CONTENT
    assert (digest, compared) == (SHA256, bool(folder))
    assert site.ranges == [None, "bytes=3000000-"]


def test_a_whole_part_is_only_renamed(site, tmp_path, part):
    part.write_bytes(CONTENT)
    path, _, compared = fetch(model(f"{site.url}/linked/model.bin"), tmp_path)
    assert path.read_bytes() == CONTENT
    assert compared
    assert not part.exists()


@pytest.mark.parametrize("content", [b"x" * 1000, b"x" * len(CONTENT)])
def test_a_part_of_another_file_is_dropped(site, tmp_path, part, content):
    part.write_bytes(content)
    file = model(f"{site.url}/linked/model.bin")
    with pytest.raises(DownloadError, match=f"expected {SHA256}"):
        fetch(file, tmp_path)
    assert list(part.parent.iterdir()) == []
    assert fetch(file, tmp_path)[0].read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_dropped(site, tmp_path, part):
    part.write_bytes(CONTENT + b"x")
    file = model(f"{site.url}/model.bin")
    with pytest.raises(DownloadError, match="416"):
        fetch(file, tmp_path)
    assert fetch(file, tmp_path)[0].read_bytes() == CONTENT


@pytest.mark.parametrize("known", [{"sha256": "0" * 64}, {"url": "/wrong/model.bin"}])
def test_another_file_than_the_released_one_is_not_kept(site, tmp_path, known):
    file = model(site.url + known.get("url", "/model.bin"), known.get("sha256", ""))
    with pytest.raises(DownloadError, match=f"SHA-256 is {SHA256}, expected {'0' * 64}"):
        fetch(file, tmp_path)
    assert list((tmp_path / "idpatch").iterdir()) == []


@pytest.mark.parametrize(
    ("url", "sha256", "compared"),
    [("/model.bin", SHA256, True), ("/linked/model.bin", "", True), ("/model.bin", "", False)],
)
def test_a_file_that_is_there_is_checked_and_kept(site, tmp_path, part, url, sha256, compared):
    part.with_suffix("").write_bytes(CONTENT)
    path, digest, found = fetch(model(site.url + url, sha256), tmp_path)
    assert (path.read_bytes(), digest, found) == (CONTENT, SHA256, compared)
    assert site.ranges == []


@pytest.mark.parametrize(("url", "sha256"), [("/model.bin", SHA256), ("/linked/model.bin", "")])
def test_another_file_of_the_name_is_an_error_and_kept(site, tmp_path, part, url, sha256):
    part.with_suffix("").write_text("mine")
    with pytest.raises(DownloadError, match=r"it is not the released file .* Move it away"):
        fetch(model(site.url + url, sha256), tmp_path)
    assert part.with_suffix("").read_text() == "mine"
    assert site.ranges == []


def test_a_file_that_is_there_needs_no_network(tmp_path, part):
    part.with_suffix("").write_bytes(CONTENT)
    assert fetch(model("http://127.0.0.1:1/model.bin"), tmp_path)[1:] == (SHA256, False)


def test_the_command_says_what_it_downloads(site, tmp_path, capsys):
    files = [model(f"{site.url}/model.bin", SHA256)]
    assert main(["--models", str(tmp_path), "it"], files) == 0
    output = capsys.readouterr().out
    assert f"Downloading {site.url}/model.bin (10 MB; licence: none)" in output
    path = tmp_path / "idpatch" / "model.bin"
    assert f"{path}: SHA-256 {SHA256} (as released)" in output
    assert main(["--models", str(tmp_path), "it"], files) == 0
    assert f"{path} exists" in capsys.readouterr().out


def test_the_command_fails_with_the_reason(site, tmp_path, capsys):
    assert main(["--models", str(tmp_path), "it"], [model(f"{site.url}/gone")]) == 1
    assert "404" in capsys.readouterr().err


@pytest.mark.parametrize("script", ["download.py", "convert.py"])
def test_the_commands_run_by_their_path_in_isolated_mode(tmp_path, script):
    pack = tmp_path / "ComfyUI" / "custom_nodes" / "ID Patch"
    pack.mkdir(parents=True)
    (tmp_path / "ComfyUI" / "models").mkdir()
    core = Path(download.__file__).parent
    (pack / "idpatch_core").mkdir()
    for file in core.glob("*.py"):
        shutil.copy(file, pack / "idpatch_core")
    command = [sys.executable, "-I", str(pack / "idpatch_core" / script)]
    shown = subprocess.run([*command, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert script in shown.stdout
    if script == "download.py":  # it finds the models folder of the ComfyUI that it is in
        refused = subprocess.run([*command, "x"], cwd=tmp_path, capture_output=True, text=True)
        assert "there is no x; choose from" in refused.stderr


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
        "controlnet/id-patch-controlnet.safetensors",
        "facexlib/recognition_arcface_ir_se50.pth",
        "checkpoints/sd_xl_base_1.0.safetensors",
    ]
