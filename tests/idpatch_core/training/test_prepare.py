"""Preparing: which images are used, which are rejected and why, and resuming."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from photos import drawn_face
from PIL import Image
from safetensors.torch import load_file
from training_world import make_base, tiny_face_model

from idpatch_core.alignment import align_face
from idpatch_core.arcface import embed
from idpatch_core.demo_world.train_base import new_text_encoders, write_tokenizers
from idpatch_core.training.data import Examples
from idpatch_core.training.find_people import PrepareOptions
from idpatch_core.training.prepare import prepare_images
from idpatch_core.training.prepared_data import PreparedData
from idpatch_core.training.validation import DROP_NOTHING

ROOT = Path(__file__).parents[3]
KEYPOINTS = [[44, 40], [64, 40], [54, 52], [46, 64], [62, 64]]
PERSON = {"group": "anna", "box": [30, 20, 78, 80], "keypoints": KEYPOINTS}
OPTIONS = PrepareOptions(resolution=0, multiple=32, min_face_width=20)


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


def make_image(seed: int = 0, width: int = 160, height: int = 96) -> bytes:
    random = np.random.default_rng(seed)
    pixels = cv2.resize(random.integers(0, 256, (6, 8, 3), np.uint8), (width, height))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def write(folder: Path, name: str, annotation: object = None, content: bytes | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(make_image() if content is None else content)
    if annotation is not None:
        (folder / f"{name}.json").write_text(json.dumps(annotation))


def records(target: Path) -> dict[str, dict]:
    lines = (target / "index.jsonl").read_text().splitlines()
    return {record["image"]: record for record in map(json.loads, lines)}


def test_training_reads_what_was_written(models: tuple[str, str], tmp_path: Path):
    pose = [[54, 52, 1.0]] * 18
    annotation = {"caption": "one person", "people": [{**PERSON, "pose": pose}]}
    for name in ("a", "b"):
        write(tmp_path / "in", name, annotation, make_image(seed=ord(name)))
    report = prepare_images(tmp_path / "in", tmp_path / "out", *models, OPTIONS, workers=0)
    assert (report["used"], report["faces"], report["people"]) == (2, 2, 1)
    data = PreparedData(tmp_path / "out")
    example = Examples(data, DROP_NOTHING, 0)[0, 0]
    assert example["base"].shape == (3, 96, 160)
    assert example["points"].tolist() == [[54, 52]]
    assert example["time_ids"].tolist() == [96, 160, 0, 0, 96, 160]
    assert example["latents"].shape == (4, 12, 20)
    assert torch.equal(example["reference_embeddings"][0], data.embeddings[1])  # the other photo
    pixels = np.array(Image.open(io.BytesIO(make_image(seed=ord("a")))))
    crop = align_face(pixels, np.array(KEYPOINTS, np.float32))
    expected = embed(tiny_face_model(), torch.from_numpy(crop[None]))
    torch.testing.assert_close(example["own_embeddings"], expected, atol=1e-5, rtol=0)


def test_each_rejected_image_has_its_reason(models: tuple[str, str], tmp_path: Path):
    folder = tmp_path / "in"
    write(folder, "good", {"people": [PERSON]})
    write(folder, "no-face")
    write(folder, "torn", {"people": [PERSON]}, make_image()[:200])
    write(folder, "no-json", ["people"])
    write(folder, "no-numbers", {"people": [{"keypoints": [[1, 2]]}]})
    write(folder, "small", {"people": [{**PERSON, "box": [50, 40, 60, 60]}]})
    write(folder, "crowd", {"people": [PERSON] * 9})
    write(folder, "empty-box", {"people": [{"box": [0, 0, 40, 40]}]})
    write(folder, "odd", {"people": [PERSON]}, make_image(width=161))
    report = prepare_images(folder, tmp_path / "out", *models, OPTIONS, workers=0)
    reasons = {key: r.get("rejected") for key, r in records(tmp_path / "out").items()}
    assert reasons == {
        "good": None,
        "no-face": "no face",
        "torn": "unreadable image",
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


def test_an_image_is_scaled_and_cropped_to_its_size(models: tuple[str, str], tmp_path: Path):
    people = [{**PERSON, "keypoints": (np.array(KEYPOINTS) * 2).tolist(), "box": None}]
    write(tmp_path / "in", "a", {"people": people}, make_image(width=320, height=160))
    options = PrepareOptions(resolution=96, multiple=32, min_face_width=5)  # 128 x 64, no crop
    prepare_images(tmp_path / "in", tmp_path / "out", *models, options, workers=0)
    (record,) = records(tmp_path / "out").values()
    assert (record["width"], record["height"]) == (128, 64)
    stored = load_file(tmp_path / "out" / record["file"])
    expected = np.array(KEYPOINTS) * 2 * 0.4
    np.testing.assert_allclose(stored["keypoints"][0].numpy(), expected, atol=0.5)
    assert stored["time_ids"].tolist() == [160, 320, 0, 0, 64, 128]


def test_faces_are_found_where_the_json_has_none(models: tuple[str, str], tmp_path: Path):
    file = io.BytesIO()
    Image.fromarray(drawn_face(224, 192)).save(file, "png")
    write(tmp_path / "in", "a", {"people": [{"group": "eva"}]}, file.getvalue())
    prepare_images(tmp_path / "in", tmp_path / "out", *models, OPTIONS, workers=0)
    (record,) = records(tmp_path / "out").values()
    assert record["people"] == ["eva"]
    nose = load_file(tmp_path / "out" / record["file"])["keypoints"][0, 2]
    assert torch.dist(nose, torch.tensor([99.0, 88.0])) < 8


def test_a_killed_command_resumes(models: tuple[str, str], tmp_path: Path):
    for i in range(30):
        annotation = {"people": [{**PERSON, "group": f"person {i % 3}"}]}
        write(tmp_path / "in", f"{i:02d}", annotation, make_image(seed=i))
    command = [sys.executable, "-m", "idpatch_core.training.prepare", str(tmp_path / "in")]
    command += [str(tmp_path / "killed"), "--base", models[0], "--face-model", models[1]]
    command += [
        "--resolution=0",
        "--multiple=32",
        "--min-face-width=20",
        "--workers=1",
        "--device=cpu",
    ]
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
    prepare_images(tmp_path / "in", tmp_path / "killed", *models, OPTIONS, workers=0)
    prepare_images(tmp_path / "in", tmp_path / "whole", *models, OPTIONS, workers=0)
    assert records(tmp_path / "killed") == records(tmp_path / "whole")
    killed, whole = PreparedData(tmp_path / "killed"), PreparedData(tmp_path / "whole")
    assert len(whole.embeddings) == 30
    torch.testing.assert_close(killed.embeddings, whole.embeddings, atol=1e-6, rtol=0)


def test_other_settings_need_another_folder(models: tuple[str, str], tmp_path: Path):
    write(tmp_path / "in", "a", {"people": [PERSON]})
    prepare_images(tmp_path / "in", tmp_path / "out", *models, OPTIONS, workers=0)
    other = OPTIONS._replace(min_face_width=30)
    with pytest.raises(ValueError, match=r"started with min_face_width 20, now it is 30"):
        prepare_images(tmp_path / "in", tmp_path / "out", *models, other, workers=0)


def test_no_usable_image_is_an_error(models: tuple[str, str], tmp_path: Path):
    write(tmp_path / "in", "a")
    with pytest.raises(ValueError, match=r"none of 1 images can be used.*no face"):
        prepare_images(tmp_path / "in", tmp_path / "out", *models, OPTIONS, workers=0)
