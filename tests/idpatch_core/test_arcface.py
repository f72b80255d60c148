import os
import pickle

import deferred_layers
import numpy as np
import pytest
import torch
from face_weights import REFERENCE, formula_state, released_shapes, write_formula_weights
from safetensors.torch import load_file, save_file

from idpatch_core.arcface import IRSE50, embed, load_arcface

SMALL = ((8, 8), (8, 16), (16, 16), (16, 32), (32, 48))


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A file of the released names, shapes and kind, with weights by formula."""
    path = tmp_path_factory.mktemp("weights") / "recognition_arcface_ir_se50.pth"
    return write_formula_weights(path)


def small_state() -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        shapes = {k: list(v.shape) for k, v in IRSE50(SMALL, 64).state_dict().items()}
    return formula_state(shapes)


def test_names_and_shapes_are_those_of_the_released_file():
    with torch.device("meta"):
        state = IRSE50().state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == released_shapes()


@torch.inference_mode()
def test_embeddings_are_those_of_the_reference(released):
    cases, names = load_file(REFERENCE / "faces.safetensors"), ("exp_man.jpg", "exp_woman.jpg")
    crops = torch.stack([cases[f"{name}.crop_bgr"].flip(-1) for name in names])
    expected = torch.stack([cases[f"{name}.embedding"] for name in names])
    found = embed(load_arcface(released), crops)
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_a_batch_gives_the_embeddings_of_each_of_its_faces(tmp_path):
    save_file(small_state(), tmp_path / "small.safetensors")
    network = load_arcface(tmp_path / "small.safetensors")
    crops = torch.randint(0, 256, (3, 112, 112, 3), generator=torch.Generator().manual_seed(0))
    together = embed(network, crops.byte())
    apart = torch.cat([embed(network, crop[None].byte()) for crop in crops])
    assert together.norm(dim=1).tolist() == pytest.approx([1, 1, 1])
    assert together.numpy() == pytest.approx(apart.numpy(), abs=1e-5)
    assert abs(together[0] - together[1]).max() > 1e-3


@torch.inference_mode()
def test_layers_without_weights_until_they_are_loaded_make_the_same_network(tmp_path):
    path = tmp_path / "small.safetensors"
    save_file(small_state(), path)
    crops = torch.full((1, 112, 112, 3), 99, dtype=torch.uint8)
    deferred = load_arcface(path, deferred_layers)
    assert type(deferred.output_layer[3]) is deferred_layers.Linear
    assert torch.equal(embed(deferred, crops), embed(load_arcface(path), crops))
    lacking = small_state()
    del lacking["output_layer.3.bias"]
    save_file(lacking, path)
    with pytest.raises(ValueError, match=r"it lacks output_layer\.3\.bias"):
        load_arcface(path, deferred_layers)


def test_sizes_are_read_from_the_tensors(tmp_path):
    save_file(small_state(), tmp_path / "small.safetensors")
    network = load_arcface(tmp_path / "small.safetensors")
    assert len(network.body) == 5
    assert embed(network, torch.zeros(2, 112, 112, 3)).shape == (2, 64)


def test_weights_in_half_precision_are_made_float32(tmp_path):
    save_file({k: v.half() for k, v in small_state().items()}, tmp_path / "half.safetensors")
    network = load_arcface(tmp_path / "half.safetensors")
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_a_file_may_be_replaced_while_its_weights_are_in_use(tmp_path):
    path = tmp_path / "small.safetensors"
    save_file(small_state(), path)
    network = load_arcface(path)
    before = network.state_dict()["output_layer.3.weight"].clone()
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(network.state_dict()["output_layer.3.weight"], before)


def test_it_trains():
    network = IRSE50(SMALL, 64).train()
    embed(network, torch.rand(4, 112, 112, 3) * 255)[:, 0].sum().backward()
    assert network.body[0].res_layer[1].weight.grad.abs().sum() > 0
    assert network.input_layer[1].running_mean.abs().sum() > 0


def refusal(path) -> str:
    with pytest.raises(ValueError, match=r"^recognition: ") as error:
        load_arcface(path)
    return str(error.value)


def test_another_model_is_refused_by_the_first_names_that_differ(tmp_path):
    save_file({"model.diffusion_model.x": torch.zeros(3)}, tmp_path / "unet.safetensors")
    message = refusal(tmp_path / "unet.safetensors")
    assert "it lacks input_layer.0.weight, " in message
    assert "tensors that do not belong there: model.diffusion_model.x." in message


def test_a_missing_entry_is_named(tmp_path):
    state = small_state()
    del state["body.2.res_layer.5.fc1.weight"]
    save_file(state, tmp_path / "part.safetensors")
    assert "it lacks body.2.res_layer.5.fc1.weight." in refusal(tmp_path / "part.safetensors")


def test_a_wrong_shape_is_named_with_the_right_one(tmp_path):
    state = small_state()
    state["output_layer.3.weight"] = torch.zeros(64, 100)
    save_file(state, tmp_path / "shape.safetensors")
    message = refusal(tmp_path / "shape.safetensors")
    assert "output_layer.3.weight has the shape [64, 100], expected [64, 2352]" in message


def test_a_truncated_file_is_refused(tmp_path, released):
    path = tmp_path / "cut.pth"
    path.write_bytes(released.read_bytes()[:1_000_000])
    assert "truncated" in refusal(path)


def test_a_truncated_safetensors_file_is_refused(tmp_path):
    save_file(small_state(), tmp_path / "whole.safetensors")
    path = tmp_path / "cut.safetensors"
    path.write_bytes((tmp_path / "whole.safetensors").read_bytes()[:10_000])
    assert "truncated" in refusal(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\x89PNG\r\n", "neither a .safetensors nor a PyTorch file"),
        (bytes(1000), "neither a .safetensors nor a PyTorch file"),
    ],
)
def test_what_is_no_file_of_weights_is_refused(tmp_path, content, reason):
    path = tmp_path / "page.pth"
    path.write_bytes(content)
    assert reason in refusal(path)


class Intruder:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_that_wants_to_run_code_is_refused_and_does_not_run(tmp_path):
    state = {**small_state(), "x": Intruder(tmp_path / "intruded")}
    torch.save(state, tmp_path / "evil.pth")
    message = refusal(tmp_path / "evil.pth")
    assert "may run code" in message
    assert f"{os.mkdir.__module__}.mkdir" in message
    assert not (tmp_path / "intruded").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_bare_pickle_is_refused_and_does_not_run(tmp_path):
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Intruder(tmp_path / "intruded")))
    assert "may run code" in refusal(tmp_path / "evil.pth")
    assert not (tmp_path / "intruded").exists()


def test_other_things_than_tensors_are_refused(tmp_path):
    torch.save({**small_state(), "epoch": 3}, tmp_path / "training.pth")
    assert "other things than tensors" in refusal(tmp_path / "training.pth")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_channel_order_of_the_network_is_bgr(dtype):
    seen = []
    red = torch.tensor([255, 127, 0], dtype=dtype).expand(1, 112, 112, 3)
    embed(lambda x: seen.append(x) or x, red)
    assert seen[0][0, :, 0, 0].numpy() == pytest.approx(np.array([-1, 127 / 127.5 - 1, 1]))


def test_a_small_file_cannot_ask_for_many_channels(tmp_path):
    with torch.device("meta"):
        names = IRSE50([(4096, 1)], 1).state_dict()
    torch.save(
        {name: torch.zeros(t.shape, dtype=t.dtype) for name, t in names.items()}, tmp_path / "f.pth"
    )
    with pytest.raises(ValueError, match="another model than IR-SE50"):
        load_arcface(tmp_path / "f.pth")
