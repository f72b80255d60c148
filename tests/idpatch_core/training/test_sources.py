"""Images and annotations in folders and shards."""

import json
import tarfile
from pathlib import Path

import pytest

from idpatch_core.training.sources import find_sources, read_annotation


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
    assert [source.key for source in in_shard] == ["shard/a", "shard/b"]
    for one, other in zip(in_folder, in_shard, strict=True):
        assert one.image.read() == other.image.read()
        captions = [read_annotation(source.annotation).caption for source in (one, other)]
        assert captions[0] == captions[1]


def test_a_missing_source_is_an_error(tmp_path: Path):
    with pytest.raises(ValueError, match="neither a folder nor"):
        find_sources(tmp_path / "nowhere")
