"""Files of equal tensors and metadata have equal bytes."""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from idpatch_core.safetensors_file import serialize_tensors, sort_metadata, write_safetensors

TENSORS = {"b": torch.arange(6.0).view(2, 3), "a": torch.ones(3, dtype=torch.float16)}
METADATA = {f"key {i}": f'"{i}"\n\t\\ é 日本 \x7f\x01' for i in range(8)}


def test_bytes_depend_on_the_content_alone(tmp_path: Path):
    contents, plain = set(), set()
    for i in range(6):
        metadata = dict(list(METADATA.items())[i:] + list(METADATA.items())[:i])
        write_safetensors(TENSORS, tmp_path / "sorted", metadata)
        contents |= {(tmp_path / "sorted").read_bytes(), serialize_tensors(TENSORS, metadata)}
        save_file(TENSORS, tmp_path / "plain", metadata)
        plain.add((tmp_path / "plain").read_bytes())
    assert len(contents) == 1 and len(plain) > 1
    with safe_open(tmp_path / "sorted", "pt") as file:
        assert file.metadata() == METADATA
    loaded = load_file(tmp_path / "sorted")
    assert loaded.keys() == TENSORS.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in TENSORS.items())


def test_a_file_without_metadata_stays_as_it_is(tmp_path: Path):
    save_file(TENSORS, tmp_path / "file")
    before = (tmp_path / "file").read_bytes()
    sort_metadata(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == before
