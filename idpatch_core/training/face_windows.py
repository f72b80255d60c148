"""Decodes the estimates of x₀ at the faces: whole images, or a window around each face."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..alignment import CROP_SIZE, TEMPLATE, similarity_transform
from ..canvas import LATENT_SCALE
from .config import LossConfig
from .data import Batch
from .frozen_networks import FrozenNetworks

SIDE_STEP = 8  # sides of windows differ by a multiple of it, so that few sizes are decoded


class DecodedFaces(NamedTuple):
    """N faces of decoded images of one size.

    `images` (M, 3, H, W); `image_of` (N), the image of each face; `keypoints` (N, 5, 2) and
    `boxes` (N, 4) in its pixels; `faces` (N), the faces' indices among those of `Estimates`.
    """

    images: Tensor
    image_of: Tensor
    keypoints: Tensor
    boxes: Tensor
    faces: Tensor


class Estimates(NamedTuple):
    """The estimates of x₀ of M images, with F people each.

    `latents` (M, C, h, w); `keypoints` (M, F, 5, 2) and `boxes` (M, F, 4) in pixels; `order`
    (M, F), random numbers by which the faces are chosen if not all can be decoded.
    """

    latents: Tensor
    keypoints: Tensor
    boxes: Tensor
    order: Tensor


def select_estimates(batch: Batch, estimate: Tensor, images: Tensor) -> Estimates:
    """Return the estimates (B, C, h, w) of the images with these indices.

    The noise orders the faces: it is random, and depends on the seed and the step alone.
    """
    people = batch.keypoints.shape[1]
    order = batch.noise[images].flatten(1)[:, :people]
    return Estimates(estimate[images], batch.keypoints[images], batch.boxes[images], order)


def decode_faces(
    frozen: FrozenNetworks, estimates: Estimates, config: LossConfig
) -> Iterator[DecodedFaces]:
    """Decode as many faces as the config's memory allows, those of one size at a time."""
    if not config.decode_window:
        yield from _decode_images(frozen, estimates, config)
        return
    latents, people = estimates.latents, estimates.keypoints.shape[1]
    keypoints, boxes = estimates.keypoints.flatten(0, 1), estimates.boxes.flatten(0, 1)
    sides = torch.full((len(keypoints),), config.decode_window)
    if config.face_sized_windows:
        regions = face_regions(keypoints.cpu(), boxes.cpu(), latents.shape[2:])
        sides = fit_sides(regions, config.decode_window)
        centres = ((regions[:, :2] + regions[:, 2:]) / 2 / LATENT_SCALE).to(keypoints)
    else:
        centres = keypoints.mean(dim=1) / LATENT_SCALE
    chosen = choose_units(
        window_areas(sides, latents.shape[2:]), estimates.order.flatten().cpu(), frozen, config
    )
    for side in sorted(set(sides[chosen].tolist())):
        faces = chosen[sides[chosen] == side].to(latents.device)
        windows, corners = cut_windows(latents[faces // people], centres[faces], side)
        yield DecodedFaces(
            frozen.decode(windows),
            torch.arange(len(faces), device=faces.device),
            keypoints[faces] - corners[:, None],
            boxes[faces] - corners.repeat(1, 2),
            faces,
        )


def _decode_images(
    frozen: FrozenNetworks, estimates: Estimates, config: LossConfig
) -> Iterator[DecodedFaces]:
    latents, people = estimates.latents, estimates.keypoints.shape[1]
    areas = torch.full((len(latents),), float(latents.shape[2] * latents.shape[3]))
    images = choose_units(areas, estimates.order[:, 0].cpu(), frozen, config).to(latents.device)
    if not len(images):
        return
    faces = (images[:, None] * people + torch.arange(people, device=images.device)).flatten()
    yield DecodedFaces(
        frozen.decode(latents[images]),
        torch.arange(len(images), device=images.device).repeat_interleave(people),
        estimates.keypoints.flatten(0, 1)[faces],
        estimates.boxes.flatten(0, 1)[faces],
        faces,
    )


def face_regions(keypoints: Tensor, boxes: Tensor, shape: torch.Size) -> Tensor:
    """Return what the losses see of each face (N, 4), in pixels, cut at the image's edge.

    It holds the aligned crop and the box. `keypoints` (N, 5, 2); `boxes` (N, 4); `shape` is (h, w)
    of the latents.
    """
    corners = np.array([[x, y, 1.0] for x in (0, CROP_SIZE) for y in (0, CROP_SIZE)])
    regions = []
    for points, box in zip(keypoints.double().numpy(), boxes.double().numpy(), strict=True):
        matrix = np.vstack([similarity_transform(points, TEMPLATE), [0.0, 0.0, 1.0]])
        crop = corners @ np.linalg.inv(matrix)[:2].T  # (4, 2) pixels of the image
        low, high = np.minimum(crop.min(axis=0), box[:2]), np.maximum(crop.max(axis=0), box[2:])
        regions.append(np.concatenate([low, high]))
    height, width = shape
    limit = torch.tensor([width, height, width, height]) * float(LATENT_SCALE)
    return torch.minimum(torch.from_numpy(np.stack(regions)).clamp(min=0), limit)


def fit_sides(regions: Tensor, smallest: int) -> Tensor:
    """Return the sides (N), in latent pixels, of windows that hold regions (N, 4) in pixels."""
    extents = (regions[:, 2:] - regions[:, :2]).amax(dim=1) / LATENT_SCALE
    # A window's corner is rounded to whole latent pixels.
    steps = ((extents + 1 - smallest) / SIDE_STEP).ceil().clamp(min=0)
    return smallest + SIDE_STEP * steps.long()


def window_areas(sides: Tensor, shape: torch.Size) -> Tensor:
    """Return the areas (N) of windows of latents of a shape (h, w), in latent pixels."""
    height, width = shape
    return (sides.clamp(max=height) * sides.clamp(max=width)).double()


def choose_units(
    areas: Tensor, order: Tensor, frozen: FrozenNetworks, config: LossConfig
) -> Tensor:
    """Return the indices, ascending, of the units that are decoded: all that fit in the memory.

    `areas` (N) in latent pixels; units come in the order of the numbers `order` (N).
    """
    if not config.decode_memory:
        return torch.arange(len(areas))
    remaining, chosen = config.decode_memory * 1e9 / frozen.bytes_per_latent_pixel, []
    for unit in order.argsort().tolist():
        if areas[unit] <= remaining:
            remaining -= float(areas[unit])
            chosen.append(unit)
    return torch.tensor(sorted(chosen), dtype=torch.long)


def cut_windows(latents: Tensor, centres: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Cut a square of `side` latent pixels around a point out of each of N latents.

    `latents` (N, C, h, w); `centres` (N, 2) in latent pixels. Returns the squares, shifted to lie
    inside the latents, and their top left corners (N, 2) in image pixels. Decoding them costs less
    than the image.
    """
    height, width = latents.shape[2:]
    tall, wide = min(side, height), min(side, width)
    corners = (centres - centres.new_tensor([wide, tall]) / 2).round()
    corners = torch.minimum(corners.clamp(min=0), centres.new_tensor([width - wide, height - tall]))
    windows = [
        x[:, top : top + tall, left : left + wide]
        for x, (left, top) in zip(latents, corners.long().tolist(), strict=True)
    ]
    return torch.stack(windows), corners * LATENT_SCALE
