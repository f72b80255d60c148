"""Draws aligned face crops of people, on which the face encoders are trained."""

from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from ..alignment import align_face
from .files import save_tensors
from .people import WALLS, draw_person, paste_person, sample_appearance

DRAWING_SIZES = (60, 200)  # pixels of the square that a person is drawn on


def draw_crop(number: int, index: int) -> np.ndarray:
    """Draw crop `index` of person `number`: (112, 112, 3) uint8."""
    from PIL import Image

    random = np.random.default_rng([number, index, 40])
    drawn = draw_person(number, sample_appearance(random), int(random.integers(*DRAWING_SIZES)))
    wall = list(WALLS.values())[int(random.integers(len(WALLS)))]
    image = Image.new("RGB", drawn.pixels.shape[1::-1], wall)
    paste_person(image, drawn, 0, 0)
    jitter = random.normal(0, 0.012 * len(drawn.pixels), (5, 2))
    return align_face(np.array(image), (drawn.keypoints + jitter).astype(np.float32))


def draw_crops(file: Path, first: int, last: int, each: int, workers: int) -> Tensor:
    """Draw people `first` to `last - 1` as (people, each, 112, 112, 3) uint8.

    They are kept in the file, and read from it if it exists.
    """
    if not file.is_file():
        from tqdm import tqdm

        tasks = [(number, each) for number in range(first, last)]
        with get_context("spawn").Pool(max(workers, 1)) as pool:
            results = pool.imap(_draw_person_crops, tasks, 4)
            people = list(tqdm(results, total=len(tasks), desc=file.stem))
        save_tensors({"crops": torch.from_numpy(np.stack(people))}, file)
    return load_file(file)["crops"]


def _draw_person_crops(task: tuple[int, int]) -> np.ndarray:
    number, count = task
    return np.stack([draw_crop(number, index) for index in range(count)])


def augment_crops(crops: Tensor, random: np.random.Generator) -> Tensor:
    """Move, turn, blur and tint crops (N, 112, 112, 3), as detectors and generation will."""
    x = crops.permute(0, 3, 1, 2)
    count = len(x)
    shift = random.uniform(-0.1, 0.1, (count, 2))
    zoom, angle = random.uniform(0.85, 1.25, count), random.uniform(-0.25, 0.25, count)
    matrix = np.zeros((count, 2, 3), np.float32)
    matrix[:, 0, 0] = matrix[:, 1, 1] = zoom * np.cos(angle)
    matrix[:, 1, 0], matrix[:, 0, 1] = zoom * np.sin(angle), -zoom * np.sin(angle)
    matrix[:, :, 2] = shift
    grid = F.affine_grid(torch.from_numpy(matrix), list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    if random.random() < 0.5:
        side = int(random.integers(24, 80))
        x = F.interpolate(x, size=side, mode="area")
        x = F.interpolate(x, size=112, mode="bilinear", align_corners=False)
    x = x + torch.from_numpy(random.normal(0, 6, (count, 3, 1, 1)).astype(np.float32))
    return x.clamp(0, 255).permute(0, 2, 3, 1)
