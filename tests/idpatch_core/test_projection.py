from pathlib import Path

import deferred_layers
import pytest
import torch
from diffusers.loaders.unet import UNet2DConditionLoadersMixin
from projection_states import (
    EMBEDDING_DIM,
    released_shapes,
    small_mlp,
    small_projections,
    small_resampler,
)
from safetensors.torch import load_file
from torch import nn

from idpatch_core.projection import (
    MLPProjection,
    Resampler,
    build_projection,
    patch_side,
    project,
)

REFERENCE = Path(__file__).parents[1] / "data" / "reference"


def faces(people, width=EMBEDDING_DIM):
    generator = torch.Generator().manual_seed(people)
    return nn.functional.normalize(torch.randn(people, width, generator=generator), dim=-1)


def diffusers_projection(state):
    convert = UNet2DConditionLoadersMixin()._convert_ip_adapter_image_proj_to_diffusers
    return convert(dict(state), low_cpu_mem_usage=False).eval()


@pytest.fixture(scope="module")
def reference():
    projections = torch.load(REFERENCE / "id-patch.bin", weights_only=True)
    return [
        build_projection({name: tensor.float() for name, tensor in projections[projection].items()})
        for projection in ("patch_proj", "prompt_proj")
    ]


@pytest.mark.parametrize("name", ["case0", "case1"])
@torch.no_grad()
def test_patches_and_tokens_are_the_reference_s(reference, name):
    case = load_file(REFERENCE / f"{name}.safetensors")
    patches, tokens, zero_tokens = project(*reference, case["face_embeds"])
    torch.testing.assert_close(patches, case["patches"], rtol=0, atol=1e-5)
    torch.testing.assert_close(tokens.flatten(0, 1), case["id_tokens"][0], rtol=0, atol=1e-5)
    zero = case["negative_id_tokens"][0]
    torch.testing.assert_close(zero_tokens.flatten(0, 1), zero, rtol=0, atol=1e-5)


@torch.no_grad()
def test_mlp_equals_diffusers():
    state, x = small_mlp(5, 48), faces(3).unsqueeze(1)
    out = build_projection(state)(x)
    assert out.shape == (3, 5, 48)
    torch.testing.assert_close(out, diffusers_projection(state)(x), rtol=0, atol=1e-5)


@torch.no_grad()
def test_resampler_with_other_sizes_equals_diffusers():
    torch.manual_seed(0)
    state = Resampler(40, 5, 48, width=96, depth=4, heads=3).requires_grad_(False).state_dict()
    x = faces(3, 40).unsqueeze(1)
    torch.testing.assert_close(
        build_projection(state)(x), diffusers_projection(state)(x), rtol=0, atol=1e-5
    )


@torch.no_grad()
@pytest.mark.parametrize("people", range(1, 11))
def test_each_person_of_many_is_projected_as_if_alone(people):
    projections = [build_projection(state) for state in small_projections()]
    together = project(*projections, faces(people))
    for i, embedding in enumerate(faces(people)):
        alone = project(*projections, embedding.unsqueeze(0))
        for many, one in zip(together, alone, strict=True):
            assert len(many) == people
            torch.testing.assert_close(many[i], one[0], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_patch_is_filled_row_by_row_and_channel_by_channel():
    out = torch.arange(3 * 16.0).reshape(1, 3, 16)
    patches, _, _ = project(lambda x: out, lambda x: x, torch.ones(1, 8))
    assert patches.shape == (1, 3, 4, 4)
    assert patches[0, 2, 1].tolist() == [36, 37, 38, 39]


@torch.no_grad()
def test_zero_tokens_are_the_projection_of_zeros_not_zeros():
    patch_proj, prompt_proj = (build_projection(state) for state in small_projections())
    _, _, zero_tokens = project(patch_proj, prompt_proj, faces(2))
    expected = prompt_proj(torch.zeros(2, 1, EMBEDDING_DIM))
    torch.testing.assert_close(zero_tokens, expected)
    assert zero_tokens.abs().max() > 0.1


def test_the_released_sizes_are_read_from_the_tensors_and_make_666_megabytes():
    total = 0
    for queries, output in ((3, 4096), (16, 2048)):
        shapes = released_shapes(queries, output)
        state = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
        network = build_projection(state)
        assert network.size == (512, queries, output)
        assert network.layers[0][0].heads == 20
        assert len(network.layers) == 4
        total += sum(tensor.nbytes for tensor in state.values())
    assert total == 666_272_768


def test_the_default_networks_are_the_released_ones():
    with torch.device("meta"):
        state = Resampler().state_dict()
    assert {name: tuple(t.shape) for name, t in state.items()} == released_shapes(16, 2048)


def test_the_network_holds_the_tensors_it_was_built_from():
    state = small_resampler(3, 64)
    network = build_projection({name: tensor.half() for name, tensor in state.items()})
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float16}
    network = build_projection(state)
    assert network.proj_in.weight.data_ptr() == state["proj_in.weight"].data_ptr()


@pytest.mark.parametrize("network", [Resampler(8, 2, 16, width=32, heads=1), MLPProjection(8, 2)])
def test_every_parameter_of_a_new_network_learns(network):
    network(torch.randn(3, 1, 8)).square().mul(torch.rand(())).sum().backward()
    still = [name for name, p in network.named_parameters() if not p.grad.abs().sum() > 0]
    assert still == []


@torch.no_grad()
@pytest.mark.parametrize("state", [small_resampler(3, 64), small_mlp(3, 64)])
def test_layers_without_weights_until_they_are_loaded_make_the_same_network(state):
    network = build_projection(state, deferred_layers)
    x = faces(3).unsqueeze(1)
    assert torch.equal(network(x), build_projection(state)(x))
    with pytest.raises(ValueError, match="it lacks"):
        build_projection(dict(list(state.items())[:-1]), deferred_layers)


def test_a_patch_is_a_square_of_three_channels():
    assert patch_side(build_projection(small_resampler(3, 64)).size) == 8
    with pytest.raises(ValueError, match="3 x 60 values"):
        patch_side(build_projection(small_resampler(3, 60)).size)
    with pytest.raises(ValueError, match="4 x 64 values"):
        patch_side(build_projection(small_resampler(4, 64)).size)


@pytest.mark.parametrize("state", [small_resampler(3, 64), small_mlp(3, 64)])
def test_every_missing_or_misshapen_tensor_is_named(state):
    for name in state:
        missing = {other: tensor for other, tensor in state.items() if other != name}
        with pytest.raises(ValueError, match=f"it lacks {name}|it is neither"):
            build_projection(missing)
        with pytest.raises(ValueError, match=r"has the shape|is not a multiple of the head width"):
            build_projection({**state, name: state[name][:-1]})


def test_unknown_tensors_are_refused():
    state = {**small_resampler(3, 64), "location.index": torch.zeros(3)}
    with pytest.raises(ValueError, match=r"do not belong there: location\.index"):
        build_projection(state)


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match="neither a Resampler"):
        build_projection({"proj.weight": torch.zeros(4, 4), "norm.weight": torch.zeros(4)})


def test_a_small_file_cannot_ask_for_many_values():
    state = Resampler(8, 2000, 2000, width=1, depth=1, heads=1).state_dict()
    with pytest.raises(ValueError, match=r"computes 2000 x 2000 values for each person"):
        build_projection(state)
    assert build_projection(Resampler(8, 256, 4096, width=1, depth=1, heads=1).state_dict())
