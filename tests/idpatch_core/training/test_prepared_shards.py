"""Shards are tar files of bounded size, continue after a kill, and are read in any order."""

import os
import tarfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from idpatch_core.training import prepared_shards
from idpatch_core.training.prepared_shards import (
    ShardWriter,
    find_complete,
    image_slice,
    read_tensors,
)


def content(number: int) -> bytes:
    return save({"x": torch.full((300,), float(number))})


def fill(folder: Path, records: list[dict], numbers: range) -> None:
    with ShardWriter(folder, records) as shards:
        records += [shards.append(f"{i}.safetensors", content(i)) for i in numbers]


def test_shards_are_bounded_tar_files_that_other_tools_read(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(prepared_shards, "SHARD_BYTES", 6000)
    records: list[dict] = []
    fill(tmp_path, records, range(7))
    fill(tmp_path, records, range(7, 12))  # continues the last shard
    shards = sorted((tmp_path / "shards").iterdir())
    assert len(shards) == 4
    assert all(shard.stat().st_size <= 6000 + 4 * tarfile.BLOCKSIZE for shard in shards)
    names = []
    for shard in shards:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                assert load(file.read())["x"][0] == int(member.name.partition(".")[0])
                names.append(member.name)
    assert names == [f"{i}.safetensors" for i in range(12)]
    for number in (11, 0, 6):
        assert read_tensors(image_slice(tmp_path, records[number]))["x"][0] == number


def test_what_a_killed_process_left_is_cut_off(tmp_path: Path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    expected: list[dict] = []
    fill(whole, expected, range(5))
    records: list[dict] = []
    fill(killed, records, range(9))
    shard = killed / "shards" / "000000.tar"
    os.truncate(shard, shard.stat().st_size - 1500)  # in the last image
    fill(killed, records := records[:3], range(3, 5))
    assert records == expected
    assert shard.read_bytes() == (whole / "shards" / "000000.tar").read_bytes()


def test_images_beyond_the_end_of_a_shard_are_missing(tmp_path: Path):
    records: list[dict] = []
    fill(tmp_path, records, range(3))
    slices = [image_slice(tmp_path, record) for record in records]
    assert find_complete(slices) == set(slices)
    os.truncate(slices[0].path, records[1]["offset"] + records[1]["size"] - 1)
    assert find_complete(slices) == {slices[0]}
    fill(tmp_path, records, range(9, 10))  # a damaged shard is left as it is
    assert records[-1]["file"] == "shards/000001.tar"


def test_a_file_of_its_own_is_read_too(tmp_path: Path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.safetensors").write_bytes(content(4))
    place = image_slice(tmp_path, {"file": "images/a.safetensors"})
    assert find_complete([place]) == {place}
    assert read_tensors(place)["x"][0] == 4
    assert not find_complete([image_slice(tmp_path, {"file": "images/b.safetensors"})])


def test_a_damaged_image_is_named(tmp_path: Path):
    (tmp_path / "a.safetensors").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"a\.safetensors is damaged.*run prepare again"):
        read_tensors(image_slice(tmp_path, {"file": "a.safetensors"}))
