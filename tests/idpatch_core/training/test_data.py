"""Batches depend on the seed and the step alone."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from training_world import make_prepared

from idpatch_core.training.config import DropConfig
from idpatch_core.training.data import Batch, BatchSampler, Examples, load_batches
from idpatch_core.training.prepared_data import ImageRecord, PreparedData
from idpatch_core.training.validation import DROP_NOTHING


def make_records(counts: dict[int, int]) -> list[ImageRecord]:
    return [
        ImageRecord(Path(), 64, 64, people, 0) for people, n in counts.items() for _ in range(n)
    ]


def equal(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_batch_has_one_number_of_people():
    images = make_records({1: 7, 2: 5})
    for batch in islice(BatchSampler(images, 3, seed=0), 20):
        assert len({images[index].people for index, _ in batch}) == 1


def test_an_epoch_has_every_image():
    sampler = BatchSampler(make_records({1: 6, 2: 3}), 3, seed=0)
    counts = Counter(index for batch in islice(sampler, sampler.epoch_length) for index, _ in batch)
    assert counts == Counter(range(9))


def test_few_images_fill_a_batch():
    batch = next(iter(BatchSampler(make_records({1: 1}), 3, seed=0)))
    assert [index for index, _ in batch] == [0, 0, 0]


def test_a_later_start_continues_the_sequence():
    images = make_records({1: 7, 2: 5})
    batches = list(islice(BatchSampler(images, 2, seed=4), 30))
    assert list(islice(BatchSampler(images, 2, seed=4, start=11), 19)) == batches[11:]
    assert list(islice(BatchSampler(images, 2, seed=5), 30)) != batches


def test_workers_do_not_change_batches(world: dict[str, str]):
    data = PreparedData(world["prepared"])
    without = list(islice(load_batches(data, DROP_NOTHING, 0, 2, workers=0), 3))
    with_one = list(islice(load_batches(data, DROP_NOTHING, 0, 2, workers=1), 3))
    assert all(equal(a, b) for a, b in zip(without, with_one, strict=True))


def test_the_same_image_gets_new_noise(world: dict[str, str]):
    examples = Examples(PreparedData(world["prepared"]), DROP_NOTHING, seed=0)
    first, second = examples[0, 1], examples[0, 2]
    assert not torch.equal(first["noise"], second["noise"])
    assert torch.equal(first["time_ids"], second["time_ids"])


def test_reference_and_view_are_other_photos_of_the_person(world: dict[str, str]):
    data = PreparedData(world["prepared"])
    for number in range(20):
        example = Examples(data, DROP_NOTHING, 0, shuffle_people=False)[number % 12, number]
        first = data.images[number % 12].first_face
        for k, reference in enumerate(example["reference_faces"].tolist()):
            assert reference != first + k
            assert data.groups[reference] == data.groups[first + k]
        assert not torch.equal(example["reference_embeddings"], example["view_embeddings"])


def test_people_are_shuffled_with_all_their_values(world: dict[str, str]):
    data = PreparedData(world["prepared"])
    ordered = Examples(data, DROP_NOTHING, 0, shuffle_people=False)[0, 0]
    assert ordered["points"][0, 0] < ordered["points"][1, 0]
    swapped = 0
    for number in range(12):
        example = Examples(data, DROP_NOTHING, 0)[0, number]
        order = [0, 1] if example["points"][0, 0] < example["points"][1, 0] else [1, 0]
        swapped += order == [1, 0]
        for name in ("points", "own_embeddings", "groups", "keypoints", "boxes"):
            assert torch.equal(example[name][order], ordered[name])
        for reference, group in zip(example["reference_faces"], example["groups"], strict=True):
            assert data.groups[int(reference)] == group
    assert 0 < swapped < 12


def test_a_person_with_one_photo_is_their_own_reference(tmp_path: Path):
    data = PreparedData(make_prepared(tmp_path, images=1, people=2))
    example = Examples(data, DROP_NOTHING, 0)[0, 0]
    assert torch.equal(example["reference_embeddings"], example["own_embeddings"])


def test_dropping_follows_its_probability(world: dict[str, str]):
    examples = Examples(PreparedData(world["prepared"]), DropConfig(0.25, 0.0, 1.0, 1.0), seed=0)
    drawn = [examples[0, number] for number in range(200)]
    assert 0.65 < sum(e["token_keep"].item() for e in drawn) / 200 < 0.85
    assert all(e["patch_keep"] == 1 and not e["base"].any() for e in drawn)
    assert torch.equal(drawn[0]["text"], drawn[1]["text"])


def count_dropped(world: dict[str, str], drop: DropConfig) -> Counter[tuple[bool, bool, bool]]:
    """Return how often text, tokens and patches were dropped, in 400 examples."""
    data = PreparedData(world["prepared"])
    empty = data.empty_caption()["text"]
    examples = (Examples(data, drop, seed=0)[0, number] for number in range(400))
    return Counter(
        (torch.equal(e["text"], empty), not e["token_keep"], not e["patch_keep"]) for e in examples
    )


def test_the_negative_branch_is_dropped_as_one(world: dict[str, str]):
    drop = DropConfig(0, 0, 0, 0, everything=0.1, text_and_tokens=0.2)
    counts = count_dropped(world, drop)
    assert counts.keys() == {(False,) * 3, (True,) * 3, (True, True, False)}
    assert 0.06 < counts[True, True, True] / 400 < 0.14
    assert 0.15 < counts[True, True, False] / 400 < 0.25


def test_a_joint_draw_leaves_the_other_draws_as_they_are(world: dict[str, str]):
    data = PreparedData(world["prepared"])
    drop = DropConfig(0.3, 0.3, 0.3, 0.3)
    joint = replace(drop, everything=0.2)
    for number in range(40):
        plain, both = Examples(data, drop, 0)[0, number], Examples(data, joint, 0)[0, number]
        everything = not (both["token_keep"] or both["patch_keep"])
        for name, value in plain.items():
            if not everything or name not in ("text", "pooled", "token_keep", "patch_keep"):
                assert torch.equal(value, both[name])


def test_an_unprepared_folder_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"has no index\.jsonl.*prepare"):
        PreparedData(tmp_path)


END_WITH_WORKERS = """
import sys

from idpatch_core.training.config import DropConfig
from idpatch_core.training.data import load_batches
from idpatch_core.training.prepared_data import PreparedData

batches = iter(load_batches(PreparedData(sys.argv[1]), DropConfig(), 0, 2, workers=1))
next(batches)
raise SystemExit(7) if sys.argv[2] == "end" else KeyError(batches)
"""


@pytest.mark.parametrize(("how", "code"), [("end", 7), ("error", 1)])
def test_a_process_ends_though_its_workers_ignore_sigterm(tmp_path: Path, how: str, code: int):
    make_prepared(tmp_path / "data", images=4)
    command = [sys.executable, "-c", END_WITH_WORKERS, str(tmp_path / "data"), how]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == code, ended.stderr[-2000:]
