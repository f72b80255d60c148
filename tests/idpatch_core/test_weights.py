"""Reading files of weights."""

import pytest
import torch
from safetensors.torch import save_file

from idpatch_core.weights import WEIGHT_DTYPES, check_finite, check_tensors, read_weights


@pytest.mark.parametrize("length", [128, 384, 640, 896])
def test_a_header_length_that_looks_like_a_pickle(tmp_path, length):
    path = tmp_path / "a.safetensors"
    for filling in range(length):
        save_file({"a": torch.ones(1)}, path, {"note": "x" * filling})
        if path.read_bytes()[:2] == length.to_bytes(2, "little"):
            break
    assert path.read_bytes()[:2] == length.to_bytes(2, "little")
    assert torch.equal(read_weights(path)[0]["a"], torch.ones(1))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"a": torch.zeros(0, 3)}, r"a has the shape \[0, 3\], expected values"),
        ({"a" * 201: torch.zeros(1)}, "a name of 201 characters, aaaa"),
    ],
)
def test_empty_tensors_and_long_names_are_refused(tmp_path, tensors, message):
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=message):
        read_weights(tmp_path / "a.safetensors")


def test_a_file_that_cannot_be_opened_says_why(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    monkeypatch.setattr(type(tmp_path), "open", refuse)
    with pytest.raises(ValueError, match=r"cannot be read \(Permission denied\)"):
        read_weights(tmp_path / "a.safetensors")


@pytest.mark.parametrize("dtype", WEIGHT_DTYPES.values())
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_value_that_is_not_finite_is_named(dtype, value):
    tensors = {"a": torch.full((1000,), -3.0, dtype=dtype), "b": torch.ones(1000, dtype=dtype)}
    check_finite(tensors)
    tensors["b"][777] = value
    with pytest.raises(ValueError, match=r"^b holds values that are not finite in .*float"):
        check_finite(tensors)


@pytest.mark.parametrize("dtype", [torch.int32, torch.complex64, torch.float64, torch.bool])
def test_other_dtypes_than_those_of_weights_are_named(dtype):
    expected = {"a": torch.zeros(2), "count": torch.zeros((), dtype=torch.int64)}
    check_tensors({**expected, "a": expected["a"].half()}, expected)
    with pytest.raises(ValueError, match=r"^a holds \w+, expected float32, float16 or bfloat16$"):
        check_tensors({**expected, "a": torch.zeros(2, dtype=dtype)}, expected)
