"""PyTorch's files: no code, no foreign exception, no more memory than the file takes."""

import io
import pickle
import tracemalloc
import zipfile

import pytest
import torch

from idpatch_core.torch_file import read_torch_file


def saved(path, content, zipped=True):
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def refusal(path) -> str:
    tracemalloc.start()
    with pytest.raises(ValueError) as error:
        read_torch_file(path)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()
    assert type(error.value) is ValueError
    return str(error.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_groups_are_flattened(tmp_path, zipped):
    content = {"a": {"x": torch.ones(2)}, "b": torch.zeros(3), "step": 7}
    found = read_torch_file(saved(tmp_path / "m.bin", content, zipped))
    assert list(found) == ["a.x", "b", "step"]
    assert torch.equal(found["a.x"], torch.ones(2))
    assert found["step"] == 7


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("side", [1, 1 << 15])
def test_an_expanded_tensor_is_refused_before_it_is_copied(tmp_path, side, zipped):
    tensor = torch.zeros(side).expand(1 << 15, side)
    message = refusal(saved(tmp_path / "m.bin", {"a": tensor}, zipped))
    assert message.startswith(f"a has {side << 15} values, but the file stores fewer.")


def test_tensors_that_share_their_values_are_refused(tmp_path):
    values = torch.zeros(10_000)
    message = refusal(saved(tmp_path / "m.bin", {f"a{i}": values for i in range(1000)}))
    assert "its tensors take 40000000 bytes, but the file has only" in message


def packed(path, content: bytes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", content)
        archive.writestr("m/version", b"3\n")
    return path


@pytest.mark.parametrize("size", [1, 100_000_000])
def test_a_compressed_zip_is_refused_before_it_is_inflated(tmp_path, size):
    message = refusal(packed(tmp_path / "m.bin", bytes(size)))
    assert "its zip is compressed" in message


def test_members_that_lie_over_each_other_are_refused(tmp_path):
    path = saved(tmp_path / "m.bin", {"a": torch.zeros(1000)})
    content = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(content, "a") as archive:
        archive.filelist += archive.filelist * 9
        archive._didModify = True  # so that closing writes the directory
    path.write_bytes(content.getvalue())
    assert "its zip is compressed" in refusal(path)


@pytest.mark.parametrize(
    ("tensor", "name"),
    [
        (torch.eye(2).to_sparse(), "_rebuild_sparse_tensor"),
        (torch.zeros(2, device="meta"), "_rebuild_meta_tensor_no_storage"),
    ],
)
def test_tensors_that_are_not_dense_are_refused(tmp_path, tensor, name):
    message = refusal(saved(tmp_path / "m.bin", {"a": tensor}))
    assert message == f"it holds tensors that are not dense (torch._utils.{name})."


@pytest.mark.parametrize("value", [bytearray(10), complex(1), torch.Size([1]), torch.zeros])
def test_other_names_than_those_of_tensors_are_refused(tmp_path, value):
    assert "it holds more than weights" in refusal(saved(tmp_path / "m.bin", {"a": value}))


@pytest.mark.parametrize("protocol", [0, 1, 4])
def test_calls_of_other_pickle_protocols_are_refused(tmp_path, protocol):
    (tmp_path / "m.bin").write_bytes(pickle.dumps({"a": print}, protocol=protocol))
    assert "may run code" in refusal(tmp_path / "m.bin")


@pytest.mark.parametrize("names", [{1: torch.ones(1)}, {"a": {(): torch.ones(1)}}])
def test_names_that_are_no_text_are_refused(tmp_path, names):
    assert "numbers or lists as names" in refusal(saved(tmp_path / "m.bin", names))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_at_any_length_is_refused(tmp_path, zipped):
    content = saved(tmp_path / "m.bin", {"a": torch.ones(3)}, zipped).read_bytes()
    cut = tmp_path / "cut.bin"
    for length in range(2, len(content)):
        cut.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"damaged or truncated|may run code") as error:
            read_torch_file(cut)
        assert type(error.value) is ValueError
