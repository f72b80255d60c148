"""The location embedding: tags ID tokens with the index and the point of their person."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

WAVES = (1.0, 2.0, 4.0, 8.0)  # frequencies of a point's features, in half periods an image


class Location(nn.Module):
    """Tags ID tokens with the index of their person and the point where the person is.

    The paper's summary describes such a tag; the released file has none, and nothing is added.
    """

    def __init__(self, people: int, output: int, operations: Any = nn):
        super().__init__()
        self.index = operations.Embedding(people, output)
        self.point = operations.Linear(4 * len(WAVES), output)

    def forward(self, points: Tensor) -> Tensor:
        """Return tags (..., F, 1, output) for points (..., F, 2), normalised to [0, 1].

        A person without a point has NaN. Raises ValueError for more people than were trained.
        """
        people = points.shape[-2]
        if people > self.index.num_embeddings:
            raise ValueError(
                f"id_patches: {people} people, but this ID-Patch model tags the tokens of at most "
                f"{self.index.num_embeddings}. Use fewer people or another model."
            )
        placed = points.isfinite().all(-1, keepdim=True)
        angles = torch.pi * points.nan_to_num().unsqueeze(-1) * points.new_tensor(WAVES)
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)  # (..., F, 4 * W)
        point_tag = self.point(waves) * placed
        index_tag = self.index(torch.arange(people, device=points.device))
        return (index_tag.to(point_tag) + point_tag).unsqueeze(-2)


def build_location(state: Mapping[str, Tensor]) -> Location | None:
    """Build the tags of a token projection's state in float32 on the CPU; None if it has none."""
    prefix = "location."
    own = {
        name.removeprefix(prefix): tensor.to("cpu", torch.float32, copy=True)
        for name, tensor in state.items()
        if name.startswith(prefix)
    }
    if not own:
        return None
    with torch.device("meta"):
        location = Location(*own["index.weight"].shape)
    location.load_state_dict(own, assign=True)
    return location.requires_grad_(False)
