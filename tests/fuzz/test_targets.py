"""Each target reads its seeds, and what was found in it, as it should; and the check can fail."""

import contextlib
import importlib
import io
import json
from random import Random

import numpy as np
import pytest
from PIL import Image

from .__main__ import TARGETS
from .harness import Findings, read_found
from .target import ForeignError, Target, TooMuchMemory, check_input


def load_target(name):
    return importlib.import_module(f"tests.fuzz.targets.{name}").TARGET


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_found_inputs(name, tmp_path):
    target = load_target(name)
    seeds = target.seeds()
    for seed in seeds:  # what is imported and prepared once takes memory too
        with contextlib.suppress(*target.errors):
            target.run(seed, tmp_path)
    accepted = [check_input(target, seed, tmp_path) for seed in seeds]
    assert sum(accepted) >= len(seeds) / 3
    for found in read_found(name).values():
        check_input(target, found, tmp_path)


def make_target(run):
    return Target(run, lambda: [b""], lambda data, random, mutate: None)


def test_an_error_of_python_is_found_and_kept(tmp_path):
    found = Findings(tmp_path / "findings")

    def divide(data, folder):
        return 1 / len(data)

    for data in (b"", b"", b"a"):
        try:
            check_input(make_target(divide), data, tmp_path)
        except ForeignError as error:
            found.add(error, data)
    figures = json.loads((tmp_path / "findings" / "figures.json").read_text())
    ((kind, _),) = figures["findings"].items()
    assert kind.startswith("ZeroDivisionError in test_targets.py, line ")
    assert [path.read_bytes() for path in found.folder.glob("*.bin")] == [b""]


def test_an_input_that_takes_much_memory_is_found(tmp_path):
    def fill(data, folder):
        bytearray(b"x" * int(data))

    assert check_input(make_target(fill), b"1000", tmp_path)
    with pytest.raises(TooMuchMemory, match="8 bytes took"):
        check_input(make_target(fill), b"90000000", tmp_path)


def test_an_error_of_the_project_s_own_is_none(tmp_path):
    assert check_input(make_target(lambda data, folder: int(data)), b"1", tmp_path)
    assert not check_input(make_target(lambda data, folder: int(data)), b"a", tmp_path)


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_of_each_target_keep_some_inputs_whole(name, tmp_path):
    target, random = load_target(name), Random(0)
    seeds = target.seeds()
    for seed in seeds:
        with contextlib.suppress(*target.errors):
            target.run(seed, tmp_path)
    mutated = [target.mutate(seed, random, bytes) for seed in seeds * (60 // len(seeds))]
    whole = [data for data in mutated if data is not None]
    assert len(whole) >= len(seeds) / 2 and set(whole) - set(seeds)
    assert any(check_input(target, data, tmp_path) for data in whole)


@pytest.mark.parametrize("mode", ["RGB", "I;16", "RGBA", "LA", "P", "1"])
def test_a_large_image_takes_no_more_memory_than_its_pixels(mode, tmp_path):
    side = 4000
    black = np.zeros((side, side), np.uint16)
    image = Image.fromarray(black) if mode == "I;16" else Image.new(mode, (side, side))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    del image, black
    target = load_target("images")
    with contextlib.suppress(*target.errors):
        target.run(target.seeds()[0], tmp_path)
    annotation = target.seeds()[0].partition(b"\n")[0]  # with keypoints, so that no face is sought
    check_input(target, annotation + b"\n" + file.getvalue(), tmp_path)
