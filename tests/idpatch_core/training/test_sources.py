"""Images and annotations in folders and shards."""

import gzip
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from idpatch_core.training.sources import FileSlice, find_sources, read_annotation


def test_shards_have_the_same_content_as_a_folder(tmp_path: Path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, annotation in (
        ("a", {"caption": "first", "people": [{"group": "anna"}]}),
        ("b", {"caption": "second"}),
    ):
        (folder / f"{name}.png").write_bytes(f"image {name}".encode())
        (folder / f"{name}.json").write_text(json.dumps(annotation))
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, file.name)
    in_folder, in_shard = find_sources(folder), find_sources(tmp_path / "shard.tar")
    assert [source.key for source in in_shard] == ["shard.tar/a.png", "shard.tar/b.png"]
    for one, other in zip(in_folder, in_shard, strict=True):
        assert one.image.read() == other.image.read()
        captions = [read_annotation(source.annotation).caption for source in (one, other)]
        assert captions[0] == captions[1]


def test_a_missing_source_is_an_error(tmp_path: Path):
    with pytest.raises(ValueError, match="neither a folder nor"):
        find_sources(tmp_path / "nowhere")


def make_shard(folder: Path, *names: str) -> Path:
    """Write a shard of images of a few bytes."""
    for name in names:
        (folder / name).write_bytes(b"image " + name.encode())
    with tarfile.open(folder / "shard.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            tar.add(folder / name, name)
            (folder / name).unlink()
    return folder / "shard.tar"


def test_images_of_one_stem_have_names_of_their_own(tmp_path: Path):
    names = ["a.jpg", "a.png", "b.webp"]
    make_shard(tmp_path, *names)
    (tmp_path / "shard").mkdir()
    for name in names:
        (tmp_path / "shard" / name).write_bytes(b"image " + name.encode())
    (tmp_path / "shard/a.json").write_text("{}")
    sources = find_sources(tmp_path)
    expected = [f"{folder}/{name}" for folder in ("shard", "shard.tar") for name in names]
    assert [source.key for source in sources] == expected
    assert [source.image.read() for source in sources] == [
        b"image " + n.encode() for n in names
    ] * 2
    assert [source.annotation is not None for source in sources] == [True, True] + [False] * 4


@pytest.mark.parametrize("damage", ["cut", "cut in a header", "gzip", "empty", "text"])
def test_a_shard_that_cannot_be_read_is_reported_and_the_others_are_used(
    tmp_path: Path, damage: str
):
    shard = make_shard(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "d.jpg").write_bytes(b"image d.jpg")
    content = shard.read_bytes()
    shard.write_bytes(
        {
            "cut": content[:1800],  # three blocks of 512 are whole
            "cut in a header": content[:1300],
            "gzip": gzip.compress(content),
            "empty": b"",
            "text": b"no tar file" * 99,
        }[damage]
    )
    unreadable: dict[str, str] = {}
    keys = [source.key for source in find_sources(tmp_path, unreadable)]
    readable = ["shard.tar/a.jpg"] * damage.startswith("cut") + ["shard.tar/b.jpg"] * (
        damage == "cut"
    )
    assert keys == ["d.jpg", *readable]
    assert "not a whole, uncompressed .tar file" in unreadable["shard.tar"]
    with pytest.raises(ValueError, match=r"shard\.tar cannot be read"):
        find_sources(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 50_000, "its JSON is broken"),
        ('{"caption": "\\ud800"}', "its caption is not text"),
        ('{"people": [{"group": "\\udfff"}]}', "person 1: group is not text"),
        ({"box": [0, 0, 1e308, 1]}, "person 1: box has a number beyond 1000000 pixels"),
        ({"box": [0, 0, 10**400, 1]}, "person 1: box is not 4 numbers"),
        ({"keypoints": [[0, float("inf")]] * 5}, "person 1: keypoints is not 5x2 numbers"),
        ({"pose": [[1e12, 0, 1]] * 18}, "person 1: pose has a number beyond 1000000 pixels"),
        ({"pose": [[float("nan"), 0, 1]] * 17}, "person 1: pose is not 17x3 or 18x3 numbers"),
    ],
)
def test_a_wrong_annotation_is_described(tmp_path: Path, content: Any, message: str):
    file = tmp_path / "a.json"
    file.write_text(content if isinstance(content, str) else json.dumps({"people": [content]}))
    with pytest.raises(ValueError, match=message):
        read_annotation(FileSlice(str(file)))
