"""Batches of images with known faces, on which the face detector is trained."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..training.sources import find_sources, read_annotation
from .people import WALLS, draw_person, paste_person, sample_appearance

IMAGE_SIZE = 256  # pixels, of an image with one person
SINGLE_FACE_SIZES = (90, 330)  # pixels of the square that this person is drawn on


class FaceBatch(NamedTuple):
    """Images (N, 3, H, W) in [0, 1] with F faces; `owners` (F) are the images' indices.

    `boxes` (F, 4) and `keypoints` (F, 5, 2) are in pixels.
    """

    images: Tensor
    owners: Tensor
    boxes: Tensor
    keypoints: Tensor


def draw_single_faces(random: np.random.Generator, count: int, first: int, last: int) -> FaceBatch:
    """Draw `count` images of one person each, of random size and position."""
    from PIL import Image

    images, boxes, keypoints = [], [], []
    for _ in range(count):
        number = int(random.integers(first, last))
        appearance = sample_appearance(random)
        drawn = draw_person(number, appearance, int(random.integers(*SINGLE_FACE_SIZES)))
        wall = list(WALLS.values())[int(random.integers(len(WALLS)))]
        image = Image.new("RGB", (IMAGE_SIZE, IMAGE_SIZE), wall)
        # The box of the head lies in the image.
        corner = np.round(random.uniform(-drawn.box[:2], IMAGE_SIZE - drawn.box[2:])).astype(int)
        left, top = corner.tolist()
        paste_person(image, drawn, left, top)
        images.append(torch.from_numpy(np.array(image)))
        boxes.append(drawn.box + np.tile(corner, 2))
        keypoints.append(drawn.keypoints + corner)
    return FaceBatch(
        torch.stack(images).permute(0, 3, 1, 2).float() / 255,
        torch.arange(count),
        torch.from_numpy(np.stack(boxes)).float(),
        torch.from_numpy(np.stack(keypoints)).float(),
    )


class SceneFaces:
    """Scenes with their faces; `images` (N, H, W, 3) uint8 are those of the folder, in order.

    Batches are enlarged by one of the scales.
    """

    def __init__(self, folder: Path, images: Tensor, scales: tuple[float, ...]):
        self.images, self.scales = images, scales
        self._people = [
            read_annotation(source.annotation).people for source in find_sources(folder)
        ]

    def sample(self, random: np.random.Generator, count: int) -> FaceBatch:
        """Return random scenes, all enlarged by one of the scales."""
        indices = random.integers(len(self.images), size=count).tolist()
        scale = self.scales[int(random.integers(len(self.scales)))]
        people = [(i, person) for i, n in enumerate(indices) for person in self._people[n]]
        x = self.images[indices].permute(0, 3, 1, 2).float() / 255
        x = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
        boxes, keypoints = (
            torch.from_numpy(np.stack([getattr(person, name) for _, person in people]) * scale)
            for name in ("box", "keypoints")
        )
        owners = torch.tensor([i for i, _ in people])
        return FaceBatch(x.clamp(0, 1), owners, boxes.float(), keypoints.float())


def augment_images(images: Tensor, random: np.random.Generator) -> Tensor:
    """Blur and tint images (N, 3, H, W), as generation will."""
    size = images.shape[2:]
    if random.random() < 0.5:
        scale = random.uniform(0.4, 0.9)
        images = F.interpolate(images, scale_factor=scale, mode="area")
        images = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
    tint = random.normal(0, 0.03, (len(images), 3, 1, 1)).astype(np.float32)
    gain = random.uniform(0.85, 1.15, (len(images), 1, 1, 1)).astype(np.float32)
    return (images * torch.from_numpy(gain) + torch.from_numpy(tint)).clamp(0, 1)
