"""Batches depend on the seed and the step and nothing else."""

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import torch
from training_world import make_prepared

from idpatch_core.training.config import Drop
from idpatch_core.training.data import Batch, Examples, Picture, Plan, Prepared, load_batches

NOTHING = Drop(0.0, 0.0, 0.0, 0.0)


def pictures(counts: dict[int, int]) -> list[Picture]:
    return [Picture(Path(), 64, 64, people, 0) for people, n in counts.items() for _ in range(n)]


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_batch_has_one_number_of_people() -> None:
    world = pictures({1: 7, 2: 5})
    for batch in islice(Plan(world, 3, seed=0), 20):
        assert len({world[index].people for index, _ in batch}) == 1


def test_an_epoch_has_every_picture() -> None:
    plan = Plan(pictures({1: 6, 2: 3}), 3, seed=0)
    seen = Counter(index for batch in islice(plan, plan.epoch_length) for index, _ in batch)
    assert seen == Counter(range(9))


def test_few_pictures_fill_a_batch() -> None:
    assert [index for index, _ in next(iter(Plan(pictures({1: 1}), 3, seed=0)))] == [0, 0, 0]


def test_a_later_start_gives_the_rest() -> None:
    world = pictures({1: 7, 2: 5})
    whole = list(islice(Plan(world, 2, seed=4), 30))
    assert list(islice(Plan(world, 2, seed=4, start=11), 19)) == whole[11:]
    assert list(islice(Plan(world, 2, seed=5), 30)) != whole


def test_workers_change_nothing(world: dict[str, str]) -> None:
    prepared = Prepared(world["prepared"])
    alone = list(islice(load_batches(prepared, NOTHING, 0, 2, workers=0), 3))
    helped = list(islice(load_batches(prepared, NOTHING, 0, 2, workers=1), 3))
    assert all(same(a, b) for a, b in zip(alone, helped, strict=True))


def test_the_same_picture_gets_new_noise(world: dict[str, str]) -> None:
    examples = Examples(Prepared(world["prepared"]), NOTHING, seed=0)
    first, second = examples[0, 1], examples[0, 2]
    assert not torch.equal(first["noise"], second["noise"])
    assert torch.equal(first["time_ids"], second["time_ids"])


def test_reference_and_view_are_other_photographs_of_the_person(world: dict[str, str]) -> None:
    prepared = Prepared(world["prepared"])
    for number in range(20):
        example = Examples(prepared, NOTHING, 0, shuffle_people=False)[number % 12, number]
        first = prepared.pictures[number % 12].first
        for k, reference in enumerate(example["reference_numbers"].tolist()):
            assert reference != first + k
            assert prepared.groups[reference] == prepared.groups[first + k]
        assert not torch.equal(example["references"], example["views"])


def test_people_are_shuffled_with_all_that_is_theirs(world: dict[str, str]) -> None:
    prepared = Prepared(world["prepared"])
    ordered = Examples(prepared, NOTHING, 0, shuffle_people=False)[0, 0]
    assert ordered["points"][0, 0] < ordered["points"][1, 0]
    swapped = 0
    for number in range(12):
        example = Examples(prepared, NOTHING, 0)[0, number]
        order = [0, 1] if example["points"][0, 0] < example["points"][1, 0] else [1, 0]
        swapped += order == [1, 0]
        for name in ("points", "faces", "groups", "keypoints", "boxes"):
            assert torch.equal(example[name][order], ordered[name])
        for number_of, group in zip(example["reference_numbers"], example["groups"], strict=True):
            assert prepared.groups[int(number_of)] == group
    assert 0 < swapped < 12


def test_a_person_with_one_photograph_is_their_own_reference(tmp_path: Path) -> None:
    prepared = Prepared(make_prepared(tmp_path, pictures=1, people=2))
    example = Examples(prepared, NOTHING, 0)[0, 0]
    assert torch.equal(example["references"], example["faces"])


def test_dropping_follows_its_probability(world: dict[str, str]) -> None:
    examples = Examples(Prepared(world["prepared"]), Drop(0.25, 0.0, 1.0, 1.0), seed=0)
    drawn = [examples[0, number] for number in range(200)]
    assert 0.65 < sum(e["token_keep"].item() for e in drawn) / 200 < 0.85
    assert all(e["patch_keep"] == 1 and not e["base"].any() for e in drawn)
    assert torch.equal(drawn[0]["text"], drawn[1]["text"])


def test_a_folder_that_is_not_prepared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no index\.jsonl.*prepare"):
        Prepared(tmp_path)
