"""Trains a small network of the IR-SE family to recognise drawn people.

ArcFace's margin (Deng et al., CVPR 2019, eq. 3) in the simpler form of CosFace (Wang et al., arXiv
1801.09414, eq. 4).
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..arcface import IRSE50, embed
from .crops import augment_crops
from .files import save_tensors
from .loop import LossTerms, fit

SCALE, MARGIN = 24.0, 0.3


class Classifier(nn.Module):
    """A face network with a direction for each person it is trained on."""

    def __init__(self, network: IRSE50, people: int):
        super().__init__()
        self.network = network
        width: int = network.output_layer[3].out_features  # pyright: ignore[reportAssignmentType]
        # Short, so that AdamW turns the directions fast.
        self.people = nn.Parameter(0.02 * torch.randn(people, width))

    def forward(self, crops: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of crops (N, 112, 112, 3) whose people are `labels` (N)."""
        cosines = embed(self.network, crops) @ F.normalize(self.people, dim=-1).T
        margins = F.one_hot(labels, len(self.people)) * MARGIN
        return F.cross_entropy(SCALE * (cosines - margins), labels)


def train_face_encoder(
    file: Path,
    crops: Tensor,
    blocks: list[tuple[int, int]],
    steps: int,
    batch: int,
    seed: int,
    precision: str = "no",
) -> None:
    """Train on crops (people, each, 112, 112, 3); write the network as `load_arcface` reads it."""
    torch.manual_seed(seed)
    classifier = Classifier(IRSE50(blocks), len(crops))

    def compute_loss(step: int) -> LossTerms:
        random = np.random.default_rng([seed, step, 50])
        torch.manual_seed(int(random.integers(2**31)))  # for dropout
        labels = torch.from_numpy(random.integers(len(crops), size=batch))
        indices = torch.from_numpy(random.integers(crops.shape[1], size=batch))
        faces = augment_crops(crops[labels, indices].float(), random)
        return {"margin": classifier(faces, labels)}

    weights = file.with_name(f"{file.stem}-classifier.safetensors")
    fit(classifier, compute_loss, weights, steps, 1e-3, 0.0, precision)
    save_tensors(classifier.network.state_dict(), file)


@torch.no_grad()
def measure_accuracy(network: IRSE50, crops: Tensor) -> float:
    """Return how often a person's second crop is nearest to their own first one, of all people.

    `crops` is (people, 2 or more, 112, 112, 3).
    """
    first, second = (
        torch.cat([embed(network, part) for part in crops[:, i].split(64)]) for i in (0, 1)
    )
    return float(((second @ first.T).argmax(1) == torch.arange(len(first))).float().mean())
