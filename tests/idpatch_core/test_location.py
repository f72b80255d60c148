"""The location embedding: carried by a checkpoint, and absent where it was not trained."""

import math

import deferred_layers
import pytest
import torch
from projection_states import small_mlp, small_projections

from idpatch_core.checkpoint import read_id_patch, write_id_patch
from idpatch_core.location import Location, build_location
from idpatch_core.projection import (
    IDPatches,
    build_projection,
    tag_tokens,
)


def location(people: int = 3) -> Location:
    torch.manual_seed(0)
    return Location(people, 16).requires_grad_(False)


def located_state() -> dict[str, torch.Tensor]:
    tags = {f"location.{name}": weight for name, weight in location().state_dict().items()}
    return {**small_mlp(4, 16), **tags}


def test_a_tag_is_its_index_and_its_point():
    network = location()
    same_point = network(torch.tensor([[0.2, 0.7], [0.2, 0.7]]))
    expected = network.index.weight[0] - network.index.weight[1]
    torch.testing.assert_close(same_point[0, 0] - same_point[1, 0], expected)
    one, other = network(torch.tensor([[0.2, 0.7]])), network(torch.tensor([[0.7, 0.2]]))
    assert not torch.allclose(one, other)


def test_without_a_point_a_tag_is_only_the_index():
    network = location()
    tags = network(torch.tensor([[math.nan, math.nan]]))
    torch.testing.assert_close(tags[0], network.index.weight[:1])


def test_too_many_people_are_refused():
    with pytest.raises(ValueError, match=r"4 people, but this ID-Patch model tags .* at most 3"):
        location()(torch.zeros(4, 2))


@pytest.mark.parametrize("ending", [".safetensors", ".bin"])
def test_a_checkpoint_carries_it(tmp_path, ending: str):
    path = tmp_path / f"model{ending}"
    write_id_patch(path, small_projections()[0], located_state())
    _, prompt, _ = read_id_patch(path)
    network = build_projection(prompt).location
    assert network is not None
    points = torch.tensor([[0.1, 0.2], [0.9, 0.5]])
    torch.testing.assert_close(network(points), location()(points))
    alone = build_location(prompt)
    assert alone is not None
    assert torch.equal(alone(points), network(points))


def test_layers_without_weights_until_they_are_loaded_make_the_same_tags():
    network = build_projection(located_state(), deferred_layers).location
    assert network is not None and type(network.point) is deferred_layers.Linear
    points = torch.tensor([[0.1, 0.2], [0.9, 0.5]])
    assert torch.equal(network(points), location()(points))
    lacking = {k: v for k, v in located_state().items() if k != "location.point.bias"}
    with pytest.raises(ValueError, match=r"it lacks location\.point\.bias"):
        build_projection(lacking, deferred_layers)


def test_a_projection_without_it_has_none():
    assert build_projection(small_mlp(4, 16)).location is None
    assert build_location(small_mlp(4, 16)) is None


def test_tokens_are_tagged_with_normalised_points():
    tokens, zero = torch.randn(2, 4, 16), torch.randn(2, 4, 16)
    plain = IDPatches(torch.zeros(2, 3, 8, 8), tokens, zero, ())
    tagged = tag_tokens(plain._replace(location=location()), [(20.0, 70.0), None], 100, 140)
    tags = location()(torch.tensor([[0.2, 0.5], [math.nan, math.nan]]))
    torch.testing.assert_close(tagged.tokens - tokens, tags.expand(-1, 4, -1))
    torch.testing.assert_close(tagged.zero_tokens - zero, tags.expand(-1, 4, -1))
    assert tag_tokens(plain, [(20.0, 70.0), None], 100, 140) is plain
