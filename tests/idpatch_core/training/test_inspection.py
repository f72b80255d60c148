"""Worker processes: few images in memory, and a process that dies costs one image at most."""

import time
from itertools import islice
from pathlib import Path

from inspectors import die_with_some, note

from idpatch_core.training.inspection import IMAGES_PER_WORKER, inspect_images
from idpatch_core.training.sources import FileSlice, Source


def make_sources(folder: Path, *names: str) -> list[Source]:
    return [Source(name, FileSlice(str(folder / name)), None) for name in names]


def test_images_wait_until_the_encoders_have_taken_others(tmp_path: Path):
    sources = make_sources(tmp_path, *(f"{i:02d}" for i in range(30)))
    results = inspect_images(sources, note, workers=1)
    taken = [result.key for result in islice(results, 3)]
    time.sleep(0.5)  # in which all of them could be inspected
    seen = len(list(tmp_path.glob("*.seen")))
    assert 3 <= seen <= 3 + IMAGES_PER_WORKER
    taken += [result.key for result in results]
    assert taken == [source.key for source in sources]


def test_a_dead_worker_costs_only_the_image_that_kills_it(tmp_path: Path):
    names = [*"abc", "bad", "d", "unlucky", *"efghijkl"]
    results = list(inspect_images(make_sources(tmp_path, *names), die_with_some, workers=2))
    assert [result.key for result in results] == names
    reasons = {result.key: result.reason for result in results}
    assert reasons == {name: "worker died" if name == "bad" else "noted" for name in names}
