"""Trains a small network of the IR-SE family to recognise drawn people.

ArcFace's margin (Deng et al., CVPR 2019, eq. 3) in the simpler form of CosFace (Wang et al., arXiv
1801.09414, eq. 4).
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..alignment import align_face
from ..arcface import IRSE50, embed, load_arcface
from .loop import Losses, fit
from .people import draw, look
from .scenes import WALLS

SCALE, MARGIN = 24.0, 0.3
SIZES = (60, 200)  # pixels of the square that the person is drawn on


def appearance(number: int, index: int) -> np.ndarray:
    """Draw a person's appearance number `index` and align it: (112, 112, 3) uint8."""
    from PIL import Image

    random = np.random.default_rng([number, index, 40])
    drawn = draw(number, look(random), int(random.integers(*SIZES)))
    wall = list(WALLS.values())[int(random.integers(len(WALLS)))]
    picture = Image.new("RGB", drawn.pixels.shape[1::-1], wall)
    tile = Image.fromarray(drawn.pixels)
    picture.paste(tile, (0, 0), tile)
    jitter = random.normal(0, 0.012 * len(drawn.pixels), (5, 2))
    return align_face(np.array(picture), (drawn.keypoints + jitter).astype(np.float32))


def _appearances(task: tuple[int, int]) -> np.ndarray:
    number, count = task
    return np.stack([appearance(number, index) for index in range(count)])


def crops(file: Path, first: int, last: int, each: int, workers: int) -> Tensor:
    """Draw people `first` to `last - 1` as (people, each, 112, 112, 3); kept in a file."""
    if not file.is_file():
        from multiprocessing import get_context

        from tqdm import tqdm

        tasks = [(number, each) for number in range(first, last)]
        with get_context("spawn").Pool(max(workers, 1)) as pool:
            found = list(tqdm(pool.imap(_appearances, tasks, 4), total=len(tasks), desc=file.stem))
        file.parent.mkdir(parents=True, exist_ok=True)
        half = file.with_suffix(".writing")
        save_file({"crops": torch.from_numpy(np.stack(found))}, half)
        half.replace(file)
    return load_file(file)["crops"]


class Classifier(nn.Module):
    """A face network with a direction for each person it is trained on."""

    def __init__(self, network: IRSE50, people: int):
        super().__init__()
        self.network = network
        width: int = network.output_layer[3].out_features  # pyright: ignore[reportAssignmentType]
        self.people = nn.Parameter(0.02 * torch.randn(people, width))  # short: AdamW turns it fast

    def forward(self, faces: Tensor, who: Tensor) -> Tensor:
        cosines = embed(self.network, faces) @ F.normalize(self.people, dim=-1).T
        margins = F.one_hot(who, len(self.people)) * MARGIN
        return F.cross_entropy(SCALE * (cosines - margins), who)


def train_face_encoder(
    file: Path,
    faces: Tensor,
    blocks: list[tuple[int, int]],
    steps: int,
    batch: int,
    seed: int,
    precision: str = "no",
) -> IRSE50:
    """Train on crops (people, each, 112, 112, 3); write the network as `load_arcface` reads it."""
    if not file.is_file():
        torch.manual_seed(seed)
        classifier = Classifier(IRSE50(blocks), len(faces))

        def loss(step: int) -> Losses:
            random = np.random.default_rng([seed, step, 50])
            torch.manual_seed(int(random.integers(2**31)))  # of the dropout
            who = torch.from_numpy(random.integers(len(faces), size=batch))
            which = torch.from_numpy(random.integers(faces.shape[1], size=batch))
            return {"margin": classifier(vary(faces[who, which].float(), random), who)}

        whole = file.with_name(f"{file.stem}-classifier.safetensors")
        fit(classifier, loss, whole, steps, 1e-3, 0.0, precision)
        save_file(classifier.network.state_dict(), file)
    return load_arcface(file)


def vary(faces: Tensor, random: np.random.Generator) -> Tensor:
    """Move, blur and lighten crops (N, 112, 112, 3), as detectors and generation will."""
    x = faces.permute(0, 3, 1, 2)
    count = len(x)
    shift = random.uniform(-0.1, 0.1, (count, 2))
    zoom, turn = random.uniform(0.85, 1.25, count), random.uniform(-0.25, 0.25, count)
    matrix = np.zeros((count, 2, 3), np.float32)
    matrix[:, 0, 0] = matrix[:, 1, 1] = zoom * np.cos(turn)
    matrix[:, 1, 0], matrix[:, 0, 1] = zoom * np.sin(turn), -zoom * np.sin(turn)
    matrix[:, :, 2] = shift
    grid = F.affine_grid(torch.from_numpy(matrix), list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    if random.random() < 0.5:
        side = int(random.integers(24, 80))
        x = F.interpolate(x, size=side, mode="area")
        x = F.interpolate(x, size=112, mode="bilinear", align_corners=False)
    x = x + torch.from_numpy(random.normal(0, 6, (count, 3, 1, 1)).astype(np.float32))
    return x.clamp(0, 255).permute(0, 2, 3, 1)


@torch.no_grad()
def top_one(network: IRSE50, faces: Tensor) -> float:
    """Return how often a person's second appearance is nearest to their first, of all people."""
    first, second = (
        torch.cat([embed(network, part) for part in faces[:, i].split(64)]) for i in (0, 1)
    )
    return float(((second @ first.T).argmax(1) == torch.arange(len(first))).float().mean())
