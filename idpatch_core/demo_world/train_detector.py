"""Teaches YuNet drawn faces: it was made for photographs and puts its points beside theirs.

The losses are those of YuNet's own training (Wu et al., "YuNet: A Tiny Millisecond-level Face
Detector", Machine Intelligence Research 2023, section 3.3), with the candidates that fit a face
best taken for it.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..face_detector import YuNet
from ..training.losses import overlap
from ..training.sources import find_sources, read_annotation
from ..training.torch_yunet import TorchYuNet
from .loop import Losses, fit
from .people import draw, look
from .scenes import WALLS, portrait, sitter

SIDE = 256  # pixels of a portrait
PORTRAITS = (90, 330)  # pixels of the square that the person in a portrait is drawn on
SCALES = (1.0, 4 / 3, 2.0, 8 / 3)  # of scenes; their sides stay multiples of 32
CANDIDATES = 6  # that learn to be one face
RATE = 1e-3


class Faces(NamedTuple):
    """Pictures (N, 3, H, W) in [0, 1] and their faces: `owner` (F) is the picture of each.

    `boxes` (F, 4) and `keypoints` (F, 5, 2) in pixels.
    """

    pictures: Tensor
    owner: Tensor
    boxes: Tensor
    keypoints: Tensor


def draw_portraits(random: np.random.Generator, count: int, first: int, last: int) -> Faces:
    """Draw people alone, larger and smaller, wherever their head is in the picture."""
    from PIL import Image

    pictures, boxes, keypoints = [], [], []
    for _ in range(count):
        number = int(random.integers(first, last))
        drawn = draw(number, look(random), int(random.integers(*PORTRAITS)))
        wall = list(WALLS.values())[int(random.integers(len(WALLS)))]
        picture = Image.new("RGB", (SIDE, SIDE), wall)
        corner = np.round(random.uniform(-drawn.box[:2], SIDE - drawn.box[2:])).astype(int)
        tile = Image.fromarray(drawn.pixels)
        picture.paste(tile, tuple(corner.tolist()), tile)
        pictures.append(torch.from_numpy(np.array(picture)))
        boxes.append(drawn.box + np.tile(corner, 2))
        keypoints.append(drawn.keypoints + corner)
    return Faces(
        torch.stack(pictures).permute(0, 3, 1, 2).float() / 255,
        torch.arange(count),
        torch.from_numpy(np.stack(boxes)).float(),
        torch.from_numpy(np.stack(keypoints)).float(),
    )


class Scenes:
    """The drawn scenes with their faces; `pictures` (N, H, W, 3) uint8 in the folder's order."""

    def __init__(self, folder: Path, pictures: Tensor):
        self.pictures = pictures
        self._people = [
            read_annotation(source.annotation).people for source in find_sources(folder)
        ]

    def batch(self, random: np.random.Generator, count: int) -> Faces:
        """Take some at one of SCALES."""
        chosen = random.integers(len(self.pictures), size=count).tolist()
        scale = SCALES[int(random.integers(len(SCALES)))]
        found = [(i, person) for i, n in enumerate(chosen) for person in self._people[n]]
        x = self.pictures[chosen].permute(0, 3, 1, 2).float() / 255
        x = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
        boxes, keypoints = (
            torch.from_numpy(np.stack([getattr(person, name) for _, person in found]) * scale)
            for name in ("box", "keypoints")
        )
        owner = torch.tensor([i for i, _ in found])
        return Faces(x.clamp(0, 1), owner, boxes.float(), keypoints.float())


def vary(pictures: Tensor, random: np.random.Generator) -> Tensor:
    """Blur and tint pictures (N, 3, H, W), as generation will."""
    size = pictures.shape[2:]
    if random.random() < 0.5:
        scale = random.uniform(0.4, 0.9)
        pictures = F.interpolate(pictures, scale_factor=scale, mode="area")
        pictures = F.interpolate(pictures, size=size, mode="bilinear", align_corners=False)
    tint = random.normal(0, 0.03, (len(pictures), 3, 1, 1)).astype(np.float32)
    gain = random.uniform(0.85, 1.15, (len(pictures), 1, 1, 1)).astype(np.float32)
    return (pictures * torch.from_numpy(gain) + torch.from_numpy(tint)).clamp(0, 1)


def detection_losses(detector: nn.Module, faces: Faces) -> Losses:
    """Return cross-entropy of the scores, 1 - overlap of the boxes, and L1 of the points.

    The points' distances are in widths of the face.
    """
    seen = detector(faces.pictures)
    size = (faces.boxes[:, 2:] - faces.boxes[:, :2]).amax(dim=1)  # (F)
    with torch.no_grad():
        boxes = seen.boxes[faces.owner]  # (F, A, 4)
        fit_well = overlap(boxes, faces.boxes[:, None])
        centre = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
        away = (seen.centres[None] - centre[:, None]).norm(dim=-1) / size[:, None]
        # Near the middle, so that a candidate that fits nothing yet can be taken as well.
        best = (fit_well - away + 0.5 * seen.scores[faces.owner]).topk(CANDIDATES, dim=1).indices
        target = torch.zeros_like(seen.scores)
        target[faces.owner[:, None], best] = 1
    owner = faces.owner[:, None]
    scores = seen.scores.float().clamp(1e-6, 1 - 1e-6)
    cross = F.binary_cross_entropy(scores, target, reduction="sum") / target.sum()
    covered = overlap(seen.boxes[owner, best], faces.boxes[:, None])
    off = (seen.keypoints[owner, best] - faces.keypoints[:, None]) / size[:, None, None, None]
    edges = (seen.boxes[owner, best] - faces.boxes[:, None]) / size[:, None, None]
    return {
        "score": cross,
        "box": (1 - covered).mean() + edges.abs().mean(),
        "points": 5 * off.abs().mean(),
    }


def learning(detector: TorchYuNet) -> TorchYuNet:
    """Make the detector's constants weights that can learn."""
    for name, constant in list(detector.named_buffers()):
        delattr(detector, name)
        detector.register_parameter(name, nn.Parameter(constant))
    return detector


def train_face_detector(
    file: Path, scenes: Scenes, first: int, last: int, steps: int, batch: int, seed: int
) -> YuNet:
    """Train on scenes and on portraits of people `first` to `last - 1`; write an ONNX file."""
    if not file.is_file():
        detector = learning(TorchYuNet())

        def loss(step: int) -> Losses:
            random = np.random.default_rng([seed, step, 70])
            if step % 2:
                faces = scenes.batch(random, batch)
            else:
                faces = draw_portraits(random, batch, first, last)
            faces = faces._replace(pictures=vary(faces.pictures, random))
            return detection_losses(detector, faces)

        fit(detector, loss, file.with_suffix(".safetensors"), steps, RATE, 0.99)
        detector.write(file)
    return YuNet(file=file)


def quality(detector: YuNet, first: int, last: int) -> tuple[float, float]:
    """Return in what share of portraits one face is found, and how far its points are off.

    That is the mean distance in shares of the distance between the eyes.
    """
    distances = []
    for number in range(first, last):
        found = detector.detect(portrait(number, 0))
        if len(found) == 1:
            points = sitter(number, 0).keypoints
            off = np.linalg.norm(found[0].keypoints - points, axis=1).mean()
            distances.append(off / np.linalg.norm(points[1] - points[0]))
    return len(distances) / (last - first), float(np.mean(distances)) if distances else float("nan")
