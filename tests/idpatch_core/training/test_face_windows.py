"""Windows hold what the losses see of a face, and no more are decoded than the memory allows."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from training_world import tiny_vae

from idpatch_core.alignment import TEMPLATE
from idpatch_core.training.config import LossConfig
from idpatch_core.training.face_windows import (
    DecodedFaces,
    Estimates,
    choose_units,
    cut_windows,
    decode_faces,
)
from idpatch_core.training.frozen_networks import MEASURED_SIDE, measure_activations
from idpatch_core.training.torch_alignment import align_faces

LATENTS = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)) + 0.5


class Enlarged:
    """A decoder whose pixels depend on one latent pixel each, and what its memory is."""

    bytes_per_latent_pixel = 1e6

    def decode(self, latents: Tensor) -> Tensor:
        return F.interpolate(latents, scale_factor=8.0, mode="nearest")


FROZEN: Any = Enlarged()


def make_estimates(scales: list[float], x: float = 380.0, y: float = 260.0) -> Estimates:
    """Faces of several sizes around one point, in one image."""
    points = [(TEMPLATE - TEMPLATE.mean(axis=0)) * scale + [x, y] for scale in scales]
    keypoints = torch.from_numpy(np.stack(points)).float()[None]
    low, high = keypoints.amin(dim=2), keypoints.amax(dim=2)
    extent = (high - low).amax(dim=-1, keepdim=True)
    boxes = torch.cat([(low + high) / 2 - extent, (low + high) / 2 + extent], dim=-1)
    return Estimates(LATENTS, keypoints, boxes, torch.arange(float(len(scales)))[None])


def align(faces: DecodedFaces) -> Tensor:
    return align_faces(faces.images[faces.image_of], list(faces.keypoints.double().numpy()))


def in_order(groups: list[DecodedFaces]) -> Tensor:
    crops = torch.cat([align(group) for group in groups])
    return crops[torch.cat([group.faces for group in groups]).argsort()]


@pytest.mark.parametrize("corner", [False, True])
def test_windows_hold_the_whole_crop_and_box_of_a_face(corner: bool):
    scales = [0.6, 1.2, 2.0, 3.1, 4.5]
    estimates = make_estimates(scales, *((60.0, 470.0) if corner else (380.0, 260.0)))
    whole = in_order(list(decode_faces(FROZEN, estimates, LossConfig())))
    config = LossConfig(decode_window=12, face_sized_windows=True)
    groups = list(decode_faces(FROZEN, estimates, config))
    torch.testing.assert_close(in_order(groups), whole, atol=1e-4, rtol=0)
    sides = [group.images.shape[-1] // 8 for group in groups]
    assert len(set(sides)) == len(sides) > 2 and min(sides) == 12
    for group in groups:
        if not corner:
            height, width = group.images.shape[2:]
            assert (group.boxes >= 0).all()
            assert (group.boxes <= torch.tensor([width, height]).repeat(2)).all()
    fixed = in_order(list(decode_faces(FROZEN, estimates, LossConfig(decode_window=12))))
    black = [(crop == 0).float().mean().item() for crop in fixed]
    assert black[0] < 0.2 < black[-1]  # a fixed window cuts a large face off


def test_a_window_contains_the_face():
    latents = torch.arange(10 * 12.0).view(1, 1, 10, 12).repeat(2, 1, 1, 1)
    points = torch.tensor([[48.0, 40.0], [95.0, 2.0]])  # the centre, and a corner
    windows, corners = cut_windows(latents, points / 8, side=4)
    assert corners.tolist() == [[32, 24], [64, 0]]
    assert windows[0, 0, 0].tolist() == [40, 41, 42, 43]
    assert windows[1, 0, 0].tolist() == [8, 9, 10, 11]


@pytest.mark.parametrize(
    ("memory", "expected"),
    [(0.0, [0, 1, 2, 3]), (1.0, [0, 1, 2, 3]), (0.4, [1, 2]), (0.15, [1]), (0.05, [])],
)
def test_no_more_is_decoded_than_the_memory_allows(memory: float, expected: list[int]):
    areas = torch.tensor([100.0, 100.0, 300.0, 200.0])  # a latent pixel is a megabyte
    order = torch.tensor([0.9, 0.1, 0.2, 0.3])
    config = LossConfig(decode_window=8, decode_memory=memory)
    assert choose_units(areas, order, FROZEN, config).tolist() == expected


def test_images_are_chosen_whole_without_windows():
    estimates = make_estimates([1.0, 2.0])
    area = 64 * 96 / 1e3  # in gigabytes
    (group,) = decode_faces(FROZEN, estimates, LossConfig(decode_memory=area * 1.01))
    assert group.faces.tolist() == [0, 1] and group.image_of.tolist() == [0, 0]
    assert not list(decode_faces(FROZEN, estimates, LossConfig(decode_memory=area * 0.99)))


def test_activations_grow_with_the_area():
    vae = tiny_vae().requires_grad_(False)
    measured = measure_activations(vae)
    kept = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel() * tensor.element_size())
        return tensor

    latents = torch.zeros(2, 4, 2 * MEASURED_SIDE, MEASURED_SIDE, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        decoded = vae.decode(latents)
    del decoded
    assert 3.6 * measured < sum(kept) < 6 * measured  # some are kept twice
