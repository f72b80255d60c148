"""Reading files of weights."""

import pytest
import torch
from safetensors.torch import save_file

from idpatch_core.weights import read_weights


@pytest.mark.parametrize("length", [128, 384, 640, 896])
def test_a_header_length_that_looks_like_a_pickle(tmp_path, length):
    path = tmp_path / "a.safetensors"
    for filling in range(length):
        save_file({"a": torch.ones(1)}, path, {"note": "x" * filling})
        if path.read_bytes()[:2] == length.to_bytes(2, "little"):
            break
    assert path.read_bytes()[:2] == length.to_bytes(2, "little")
    assert torch.equal(read_weights(path)[0]["a"], torch.ones(1))
