"""Preparing: what is taken, what is rejected and why, and going on after a stop."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from drawn_face import drawn_face
from PIL import Image
from safetensors.torch import load_file
from training_world import make_base, tiny_face_model

from idpatch_core.alignment import align_face
from idpatch_core.arcface import embed
from idpatch_core.demo_world.train_base import new_text_encoders, write_tokenizers
from idpatch_core.training.config import Drop
from idpatch_core.training.data import Examples, Prepared
from idpatch_core.training.prepare import PrepareOptions, prepare
from idpatch_core.training.sources import find_sources, read_about

ROOT = Path(__file__).parents[3]
KEYPOINTS = [[44, 40], [64, 40], [54, 52], [46, 64], [62, 64]]
PERSON = {"group": "anna", "box": [30, 20, 78, 80], "keypoints": KEYPOINTS}
WISHES = PrepareOptions(resolution=0, multiple=32, smallest=20)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A base model with text encoders, and a face model."""
    from safetensors.torch import save_model

    folder = tmp_path_factory.mktemp("models")
    base = make_base(folder / "base")
    write_tokenizers(base)
    torch.manual_seed(0)
    text = new_text_encoders(base)
    text.first.save_pretrained(str(base / "text_encoder"))
    text.second.save_pretrained(str(base / "text_encoder_2"))
    save_model(tiny_face_model(), str(folder / "face.safetensors"))
    return str(base), str(folder / "face.safetensors")


def picture(seed: int = 0, width: int = 160, height: int = 96) -> bytes:
    random = np.random.default_rng(seed)
    pixels = cv2.resize(random.integers(0, 256, (6, 8, 3), np.uint8), (width, height))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def write(folder: Path, name: str, about: object = None, content: bytes | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(picture() if content is None else content)
    if about is not None:
        (folder / f"{name}.json").write_text(json.dumps(about))


def records(target: Path) -> dict[str, dict]:
    lines = (target / "index.jsonl").read_text().splitlines()
    return {record["picture"]: record for record in map(json.loads, lines)}


def test_what_is_written_is_what_training_reads(models: tuple[str, str], tmp_path: Path) -> None:
    pose = [[54, 52, 1.0]] * 18
    about = {"caption": "one person", "people": [{**PERSON, "pose": pose}]}
    for name in ("a", "b"):
        write(tmp_path / "in", name, about, picture(seed=ord(name)))
    report = prepare(tmp_path / "in", tmp_path / "out", *models, WISHES, workers=0)
    assert (report["taken"], report["faces"], report["people"]) == (2, 2, 1)
    prepared = Prepared(tmp_path / "out")
    example = Examples(prepared, Drop(0, 0, 0, 0), 0)[0, 0]
    assert example["base"].shape == (3, 96, 160)
    assert example["points"].tolist() == [[54, 52]]
    assert example["time_ids"].tolist() == [96, 160, 0, 0, 96, 160]
    assert example["latents"].shape == (4, 12, 20)
    assert torch.equal(example["references"][0], prepared.embeddings[1])  # the other photograph
    pixels = np.array(Image.open(io.BytesIO(picture(seed=ord("a")))))
    crop = align_face(pixels, np.array(KEYPOINTS, np.float32))
    expected = embed(tiny_face_model(), torch.from_numpy(crop[None]))
    torch.testing.assert_close(example["faces"], expected, atol=1e-5, rtol=0)


def test_everything_rejected_has_its_reason(models: tuple[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write(folder, "good", {"people": [PERSON]})
    write(folder, "no-face")
    write(folder, "torn", {"people": [PERSON]}, picture()[:200])
    write(folder, "no-json", ["people"])
    write(folder, "no-numbers", {"people": [{"keypoints": [[1, 2]]}]})
    write(folder, "small", {"people": [{**PERSON, "box": [50, 40, 60, 60]}]})
    write(folder, "crowd", {"people": [PERSON] * 9})
    write(folder, "empty-box", {"people": [{"box": [0, 0, 40, 40]}]})
    write(folder, "odd", {"people": [PERSON]}, picture(width=161))
    report = prepare(folder, tmp_path / "out", *models, WISHES, workers=0)
    reasons = {key: r.get("rejected") for key, r in records(tmp_path / "out").items()}
    assert reasons == {
        "good": None,
        "no-face": "no face",
        "torn": "unreadable picture",
        "no-json": "wrong JSON",
        "no-numbers": "wrong JSON",
        "small": "face too small",
        "crowd": "too many people",
        "empty-box": "face not found",
        "odd": "size",
    }
    assert report["rejected"]["wrong JSON"] == 2
    assert json.loads((tmp_path / "out/report.json").read_text()) == report
    details = records(tmp_path / "out")
    assert details["small"]["detail"] == "10 pixels, expected 20"
    assert "person 1: keypoints is not 5x2" in details["no-numbers"]["detail"]


def test_a_picture_is_scaled_and_cut_to_its_size(models: tuple[str, str], tmp_path: Path) -> None:
    people = [{**PERSON, "keypoints": (np.array(KEYPOINTS) * 2).tolist(), "box": None}]
    write(tmp_path / "in", "a", {"people": people}, picture(width=320, height=160))
    wishes = PrepareOptions(resolution=96, multiple=32, smallest=5)  # 128 x 64: cut from 128 x 64
    prepare(tmp_path / "in", tmp_path / "out", *models, wishes, workers=0)
    (record,) = records(tmp_path / "out").values()
    assert (record["width"], record["height"]) == (128, 64)
    stored = load_file(tmp_path / "out" / record["file"])
    expected = np.array(KEYPOINTS) * 2 * 0.4
    np.testing.assert_allclose(stored["keypoints"][0].numpy(), expected, atol=0.5)
    assert stored["time_ids"].tolist() == [160, 320, 0, 0, 64, 128]


def test_shards_hold_the_same_as_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    write(folder, "a", {"caption": "first", "people": [PERSON]})
    write(folder, "b", {"caption": "second"})
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, file.name)
    apart, together = find_sources(folder), find_sources(tmp_path / "shard.tar")
    assert [s.key for s in together] == ["shard/a", "shard/b"]
    for one, other in zip(apart, together, strict=True):
        assert one.picture.read() == other.picture.read()
        assert read_about(one.about).caption == read_about(other.about).caption


def test_faces_are_found_where_the_json_has_none(models: tuple[str, str], tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(drawn_face(224, 192)).save(file, "png")
    write(tmp_path / "in", "a", {"people": [{"group": "eva"}]}, file.getvalue())
    prepare(tmp_path / "in", tmp_path / "out", *models, WISHES, workers=0)
    (record,) = records(tmp_path / "out").values()
    assert record["people"] == ["eva"]
    nose = load_file(tmp_path / "out" / record["file"])["keypoints"][0, 2]
    assert torch.dist(nose, torch.tensor([99.0, 88.0])) < 8


def test_killed_and_started_again(models: tuple[str, str], tmp_path: Path) -> None:
    for i in range(30):
        about = {"people": [{**PERSON, "group": f"person {i % 3}"}]}
        write(tmp_path / "in", f"{i:02d}", about, picture(seed=i))
    command = [sys.executable, "-m", "idpatch_core.training.prepare", str(tmp_path / "in")]
    command += [str(tmp_path / "killed"), "--base", models[0], "--face-model", models[1]]
    command += ["--resolution=0", "--multiple=32", "--smallest=20", "--workers=1", "--device=cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, start_new_session=True
    )
    index = tmp_path / "killed/index.jsonl"
    while not index.is_file() or index.read_bytes().count(b"\n") < 5:
        assert process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert index.read_bytes().count(b"\n") < 30
    prepare(tmp_path / "in", tmp_path / "killed", *models, WISHES, workers=0)
    prepare(tmp_path / "in", tmp_path / "whole", *models, WISHES, workers=0)
    assert records(tmp_path / "killed") == records(tmp_path / "whole")
    killed, whole = Prepared(tmp_path / "killed"), Prepared(tmp_path / "whole")
    assert len(whole.embeddings) == 30
    torch.testing.assert_close(killed.embeddings, whole.embeddings, atol=1e-6, rtol=0)


def test_other_settings_need_another_folder(models: tuple[str, str], tmp_path: Path) -> None:
    write(tmp_path / "in", "a", {"people": [PERSON]})
    prepare(tmp_path / "in", tmp_path / "out", *models, WISHES, workers=0)
    other = WISHES._replace(smallest=30)
    with pytest.raises(ValueError, match=r"begun with smallest 20, now it is 30"):
        prepare(tmp_path / "in", tmp_path / "out", *models, other, workers=0)


def test_nothing_to_use_is_an_error(models: tuple[str, str], tmp_path: Path) -> None:
    write(tmp_path / "in", "a")
    with pytest.raises(ValueError, match=r"none of 1 pictures can be used.*no face"):
        prepare(tmp_path / "in", tmp_path / "out", *models, WISHES, workers=0)
    with pytest.raises(ValueError, match="neither a folder nor"):
        find_sources(tmp_path / "nowhere")
