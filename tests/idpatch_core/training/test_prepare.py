"""Preparing: which images are used, which are rejected and why, and resuming."""

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from photos import drawn_face
from PIL import Image
from random_kills import kill_at_random_moments, run_to_end
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_world import make_base, tiny_face_model, tiny_unet

from idpatch_core.alignment import align_face
from idpatch_core.arcface import embed
from idpatch_core.demo_world.train_base import new_text_encoders, write_tokenizers
from idpatch_core.journal import read as read_journal
from idpatch_core.training import prepare
from idpatch_core.training.__main__ import main as train
from idpatch_core.training.data import Examples
from idpatch_core.training.find_people import ImageInspector, PreparedImage, PrepareOptions
from idpatch_core.training.image_encoders import ImageEncoders
from idpatch_core.training.prepare import prepare_images
from idpatch_core.training.prepared_data import PreparedData, read_training_records
from idpatch_core.training.prepared_shards import find_complete, image_slice, read_tensors
from idpatch_core.training.validation import DROP_NOTHING

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "idpatch_core/training/recipes/stage1.toml"
KEYPOINTS = [[44, 40], [64, 40], [54, 52], [46, 64], [62, 64]]
BESIDE = [[x + 64, y] for x, y in KEYPOINTS]
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
    widths = [encoder.config.hidden_size for encoder in (text.first, text.second)]
    tiny_unet(sum(widths), text.second.config.projection_dim).save_pretrained(base / "unet")
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
    write(folder, "flat", {"people": [{**PERSON, "keypoints": [[50, 50]] * 5}]})
    write(folder, "long", {"people": [PERSON]}, make_image(width=32 * 5, height=32))
    report = prepare_images(folder, tmp_path / "out", *models, OPTIONS, workers=0)
    reasons = {key: r.get("rejected") for key, r in records(tmp_path / "out").items()}
    assert reasons == {
        "good.png": None,
        "no-face.png": "no face",
        "torn.png": "unreadable image",
        "no-json.png": "wrong JSON",
        "no-numbers.png": "wrong JSON",
        "small.png": "face too small",
        "crowd.png": "too many people",
        "empty-box.png": "face not found",
        "odd.png": "size",
        "flat.png": "face not aligned",
        "long.png": "aspect ratio",
    }
    assert report["rejected"]["wrong JSON"] == 2
    assert json.loads((tmp_path / "out/report.json").read_text()) == report
    details = records(tmp_path / "out")
    assert details["small.png"]["detail"] == "10 pixels, expected 20"
    assert "person 1: keypoints is not 5x2" in details["no-numbers.png"]["detail"]


def test_an_image_is_scaled_and_cropped_to_its_size(models: tuple[str, str], tmp_path: Path):
    people = [{**PERSON, "keypoints": (np.array(KEYPOINTS) * 2).tolist(), "box": None}]
    write(tmp_path / "in", "a", {"people": people}, make_image(width=320, height=160))
    options = PrepareOptions(resolution=96, multiple=32, min_face_width=5)  # 128 x 64, no crop
    prepare_images(tmp_path / "in", tmp_path / "out", *models, options, workers=0)
    (record,) = records(tmp_path / "out").values()
    assert (record["width"], record["height"]) == (128, 64)
    stored = read_tensors(image_slice(tmp_path / "out", record))
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
    nose = read_tensors(image_slice(tmp_path / "out", record))["keypoints"][0, 2]
    assert torch.dist(nose, torch.tensor([99.0, 88.0])) < 8


def test_a_command_killed_at_random_moments_resumes(models: tuple[str, str], tmp_path: Path):
    count = 30
    for i in range(count):
        annotation = {"people": [{**PERSON, "group": f"person {i % 10}"}]}
        write(tmp_path / "in", f"{i:02d}", annotation, make_image(seed=i))
    log, folder, out = tmp_path / "log", tmp_path / "made", tmp_path / "made" / "out"
    command = ["-m", "idpatch_core.training.prepare", str(tmp_path / "in"), str(out)]
    command += ["--base", models[0], "--face-model", models[1], "--min-face-width=20"]
    command += ["--resolution=0", "--multiple=32", "--workers=1", "--evaluation=6", "--device=cpu"]

    def files() -> dict[str, bytes]:
        found = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}

    def check() -> None:
        lines = read_journal(out / "index.jsonl")
        assert len({line["image"] for line in lines}) == len(lines), "an image was prepared twice"
        images = [image_slice(out, line) for line in lines]
        assert find_complete(images) == set(images) and all(map(read_tensors, images))
        for name, content in files().items():
            grows = name.endswith(("out/index.jsonl", ".tar"))
            assert grows or name.endswith(".part") or content == expected[name], name

    def start_over() -> None:
        assert files() == expected
        shutil.rmtree(folder)

    def count_done() -> int:
        return len(read_journal(out / "index.jsonl"))

    seconds = run_to_end(command, log)
    expected = files()
    assert len(expected) == 12
    shutil.rmtree(folder)
    kill_at_random_moments(command, log, seconds, count, count_done, check, start_over)
    run_to_end(command, log)
    assert count_done() == count
    start_over()


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


def test_an_error_of_one_image_costs_only_that_image(
    models: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in "abcd":
        write(tmp_path / "in", name, {"people": [PERSON]})
    find, encode = ImageInspector.find_people, ImageEncoders.encode

    def find_people(self: ImageInspector, pixels: np.ndarray, annotated: Any, key: str) -> Any:
        if key == "a.png":
            raise MemoryError("no memory")
        return find(self, pixels, annotated, key)

    def encode_image(self: ImageEncoders, image: PreparedImage) -> Any:
        if image.key == "c.png":
            raise RuntimeError("CUDA out of memory")
        return encode(self, image)

    monkeypatch.setattr(ImageInspector, "find_people", find_people)
    monkeypatch.setattr(ImageEncoders, "encode", encode_image)
    report = prepare_images(tmp_path / "in", tmp_path / "out", *models, OPTIONS, workers=0)
    assert report["rejected"] == {"error": 1, "not encoded": 1}
    found = records(tmp_path / "out")
    assert found["a.png"]["detail"] == "MemoryError: no memory"
    assert found["c.png"]["detail"] == "RuntimeError: CUDA out of memory"
    assert [key for key, record in found.items() if "file" in record] == ["b.png", "d.png"]


def test_a_device_that_fails_rejects_no_image(
    models: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for i in range(14):
        write(tmp_path / "in", f"{i:02d}", {"people": [PERSON]})
    encode, encoded = ImageEncoders.encode, []

    def encode_image(self: ImageEncoders, image: PreparedImage) -> Any:
        encoded.append(image.key)
        if len(encoded) > 2:
            raise RuntimeError("device-side assert")
        return encode(self, image)

    with monkeypatch.context() as patch:
        patch.setattr(ImageEncoders, "encode", encode_image)
        with pytest.raises(
            ValueError, match=r"10 images in a row .* \(11\.png\).*device-side assert"
        ):
            prepare_images(tmp_path / "in", tmp_path / "out", *models, OPTIONS, workers=0)
    assert len(records(tmp_path / "out")) == 2
    report = prepare_images(tmp_path / "in", tmp_path / "out", *models, OPTIONS, workers=0)
    assert report["used"] == report["images"] == 14


@pytest.mark.parametrize("kept", [0, 20_000])  # bytes; the images take 30 to 40 thousand each
def test_images_whose_shard_was_lost_are_prepared_again(
    models: tuple[str, str], tmp_path: Path, kept: int
):
    for name in "ab":
        write(tmp_path / "in", name, {"people": [PERSON]})
    prepare_images(tmp_path / "in", tmp_path / "out", *models, OPTIONS, workers=0)
    shard = tmp_path / "out" / records(tmp_path / "out")["a.png"]["file"]
    if kept:
        os.truncate(shard, kept)
    else:
        shard.unlink()
    with pytest.raises(ValueError, match="2 of 2 prepared images are missing"):
        PreparedData(tmp_path / "out").check_files()
    report = prepare_images(tmp_path / "in", tmp_path / "out", *models, OPTIONS, workers=0)
    assert (report["images"], report["used"], report["faces"]) == (2, 2, 2)
    data = PreparedData(tmp_path / "out")
    data.check_files()
    assert len(data.images) == len(data.embeddings) == 2
    assert data.crop(1).shape == (112, 112, 3)


@pytest.mark.parametrize(("group_from", "people"), [(0.0, 3), (0.9, 1)])
def test_faces_without_a_name_are_grouped_if_asked(
    models: tuple[str, str], tmp_path: Path, group_from: float, people: int
):
    unnamed = {key: value for key, value in PERSON.items() if key != "group"}
    for name in "abc":  # the same photo
        write(tmp_path / "in", name, {"people": [unnamed]})
    folders = tmp_path / "in", tmp_path / "out"
    report = prepare_images(*folders, *models, OPTIONS, workers=0, group_from=group_from)
    assert (report["faces"], report["people"]) == (3, people)
    data = PreparedData(tmp_path / "out")
    assert len(data.other_faces(0)) == 3 - people


def test_photos_are_counted_and_not_files_or_faces(models: tuple[str, str], tmp_path: Path):
    folder = tmp_path / "in"
    twice = [PERSON, {"group": "anna", "keypoints": BESIDE}]  # such as in a mirror
    write(folder, "a", {"people": twice})
    write(folder, "b", {"people": [{**PERSON, "group": "ben"}]})
    with Image.open(folder / "b.png") as image:
        image.save(folder / "b.jpg")
    report = prepare_images(folder, tmp_path / "out", *models, OPTIONS, workers=0)
    assert (report["images"], report["used"], report["faces"]) == (3, 3, 4)
    assert (report["people"], report["people_with_one_photo"]) == (2, 1)
    data = PreparedData(tmp_path / "out")
    names = [record["people"] for record in read_training_records(tmp_path / "out")]
    assert names == [["anna", "anna"], ["ben"], ["ben"]]
    assert [data.other_faces(face) for face in range(4)] == [[], [], [3], [2]]


def test_no_one_in_the_evaluation_is_trained_on(models: tuple[str, str], tmp_path: Path):
    for i in range(12):  # four people with three photos each, two of them in one photo
        people = [{**PERSON, "group": f"person {i % 4}"}]
        if i == 0:
            people.append({"group": "person 1", "keypoints": BESIDE})
        write(tmp_path / "in", f"{i:02d}", {"people": people}, make_image(seed=i))
    report = prepare_images(
        tmp_path / "in", tmp_path / "out", *models, OPTIONS, workers=0, evaluation=3
    )
    assert report["evaluation"]["images"] == 3 and report["evaluation"]["left_out"] == 0
    folders = tmp_path / "out", tmp_path / "out-evaluation"
    trained, evaluated = (read_training_records(folder) for folder in folders)
    assert (len(trained), len(evaluated)) == (9, 3)
    names = [{name for r in found for name in r["people"]} for found in (trained, evaluated)]
    assert names[0].isdisjoint(names[1])
    for folder, found in zip(folders, (trained, evaluated), strict=True):
        data = PreparedData(folder)
        data.check_files()
        for image, record in zip(data.images, found, strict=True):
            stored = read_tensors(image.file)["embeddings"]
            own = data.embeddings[image.first_face : image.first_face + image.people]
            assert torch.equal(own, stored) and len(own) == len(record["people"])
        Examples(data, DROP_NOTHING, 0)[0, 0]

    more = {**PERSON, "group": next(iter(names[1]))}  # another photo comes, of someone held out
    write(tmp_path / "in", "more", {"people": [more]}, make_image(seed=99))
    for evaluation in (0, 3):
        prepare_images(
            tmp_path / "in", folders[0], *models, OPTIONS, workers=0, evaluation=evaluation
        )
        assert [len(read_training_records(folder)) for folder in folders] == [9, 4]
    with pytest.raises(ValueError, match="holds out people for 3 images, got 5"):
        prepare_images(tmp_path / "in", folders[0], *models, OPTIONS, workers=0, evaluation=5)


def test_a_folder_of_the_users_is_no_place_for_the_evaluation(
    models: tuple[str, str], tmp_path: Path
):
    for name in "abc":
        write(tmp_path / "in", name, {"people": [{**PERSON, "group": name}]})
    prepare_images(tmp_path / "in", tmp_path / "out-evaluation", *models, OPTIONS, workers=0)
    with pytest.raises(ValueError, match=r"out-evaluation was made in another way"):
        prepare_images(tmp_path / "in", tmp_path / "out", *models, OPTIONS, workers=0, evaluation=1)
    assert len(records(tmp_path / "out-evaluation")) == 3


@pytest.mark.parametrize("evaluation", [0, 4])
def test_the_two_commands_of_the_readme_run_to_their_end(
    models: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluation: int
):
    for i in range(12):
        annotation = {"people": [{**PERSON, "group": f"person {i % 4}"}]}
        write(tmp_path / "IMAGES", f"{i:02d}", annotation, make_image(seed=i))
    base, face_model = models
    monkeypatch.chdir(tmp_path)
    command = ["IMAGES", "data/prepared", "--base", base, "--face-model", face_model]
    command += ["--device", "cpu", "--resolution", "0", "--multiple", "32", "--workers", "0"]
    assert prepare.main([*command, "--evaluation", str(evaluation), "--min-face-width", "20"]) == 0
    small = [f"models.base={base}", f"models.face_model={face_model}", "data.batch_size=2"]
    small += ["models.controlnet=", "data.workers=0", "run.steps=2", "projection.width=32"]
    small += ["optimiser.eight_bit=false", "run.gradient_accumulation=1", "sampling.every=1"]
    small += ["sampling.images=2", "sampling.steps=2", "sampling.max_share=1"]
    assert train([str(RECIPE), *small]) == 0
    assert (tmp_path / "runs/stage1/export/id-patch.safetensors").is_file()
    events = EventAccumulator("runs/stage1/tensorboard").Reload()
    assert (events.Tags()["images"] == ["samples"]) == bool(evaluation)
