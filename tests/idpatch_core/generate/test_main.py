import json
import subprocess
import sys
from pathlib import Path

import pytest

from idpatch_core.generate.__main__ import main, parse_generate_options

ROOT = Path(__file__).parents[3]
BARE = """
import sys
sys.modules.update(dict.fromkeys(("torch", "ray", "scipy", "matplotlib", "transformers", "onnx")))
import numpy, pathlib
import idpatch_core.generate.__main__
from idpatch_core.generate.jobs import draw_pose
from idpatch_core.evaluate.cases import parse_case
row = {"width": 64, "height": 64, "people": [{"references": "a.jpg", "point": [32, 20]}]}
assert draw_pose(parse_case(row, 1, pathlib.Path()), row, pathlib.Path()).any()
"""


def test_a_client_needs_no_more_than_the_extra():
    subprocess.run([sys.executable, "-c", BARE], cwd=ROOT, check=True)
    tomllib = pytest.importorskip("tomllib", reason="tomllib came with Python 3.11")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = extras["optional-dependencies"]
    names = {requirement.partition(">")[0] for requirement in extras["generate"]}
    assert names == {"aiohttp", "opencv-python-headless", "pillow", "tqdm"}
    assert extras["ray"][0].startswith("ray>")


@pytest.mark.parametrize(
    ("given", "servers"),
    [
        ([], ["http://127.0.0.1:8188"]),
        (["10.0.0.1:8188", "http://10.0.0.1:8188/"], ["http://10.0.0.1:8188"]),
        (["https://a.example/x", "http://b:1"], ["https://a.example/x", "http://b:1"]),
    ],
)
def test_addresses_of_servers(given, servers):
    arguments = [part for server in given for part in ("--server", server)]
    assert parse_generate_options(["photos.jsonl", *arguments]).server == servers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--server", "ftp://a"], "expected an address such as"), (["--comfyui", "x"], "needs --ray")],
)
def test_wrong_options_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        parse_generate_options(["photos.jsonl", *arguments])
    assert message in capsys.readouterr().err


def test_seeds_are_explained(capsys):
    with pytest.raises(SystemExit):
        parse_generate_options(["--help"])
    assert 'A line without "seed" gets a seed of its own' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe{\0}\0", "photos.jsonl is in UTF-16. Save it as UTF-8."),
        (None, "photos: no such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(folder, capsys, content, message):
    if content is not None:
        (folder / "photos.jsonl").write_bytes(content)
    assert main([str(folder / "photos.jsonl"), "--out", str(folder / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_one_sentence(folder, capsys):
    (folder / "photos.jsonl").write_text("")
    assert main([str(folder / "photos.jsonl"), "--out", str(folder / "ada.jpg")]) == 2
    assert capsys.readouterr().err == f"error: {folder / 'ada.jpg'}: File exists.\n"


def test_lines_that_cannot_be_used_are_reported_and_the_run_ends_with_1(folder, capsys):
    lines = ["{torn", json.dumps({"people": [{"references": "gone.jpg"}]})]
    (folder / "photos.jsonl").write_text("\n".join(lines))
    assert main([str(folder / "photos.jsonl"), "--out", str(folder / "out")]) == 1
    captured = capsys.readouterr()
    assert "0 of 2 photos" in captured.out
    for number, name in ((1, "not JSON"), (2, "gone.jpg")):
        assert f"not made: photos.jsonl, line {number}: " in captured.err and name in captured.err
    assert (folder / "out" / "results.jsonl").read_bytes() == b""
