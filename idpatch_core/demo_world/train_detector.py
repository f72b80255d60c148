"""Trains YuNet on drawn faces: as released, it misplaces their keypoints.

The losses are those of YuNet's own training (Wu et al., "YuNet: A Tiny Millisecond-level Face
Detector", Machine Intelligence Research 2023, section 3.3). The candidates that fit a face best are
trained on it.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..face_detector import YuNet
from ..training.losses import overlap
from ..training.torch_yunet import TorchYuNet
from .face_batches import FaceBatch, SceneFaces, augment_images, draw_single_faces
from .loop import LossTerms, fit
from .portraits import draw_portrait

CANDIDATES = 6  # that are trained on each face
LEARNING_RATE = 1e-3


def detection_losses(detector: nn.Module, faces: FaceBatch) -> LossTerms:
    """Return cross-entropy of the scores, 1 - overlap of the boxes, and L1 of the keypoints.

    Distances are in face sizes.
    """
    detections = detector(faces.images)
    size = (faces.boxes[:, 2:] - faces.boxes[:, :2]).amax(dim=1)  # (F)
    with torch.no_grad():
        boxes = detections.boxes[faces.owners]  # (F, A, 4)
        overlaps = overlap(boxes, faces.boxes[:, None])
        centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
        distances = (detections.centres[None] - centres[:, None]).norm(dim=-1) / size[:, None]
        # The distance ranks candidates whose boxes do not overlap the face yet.
        fit_scores = overlaps - distances + 0.5 * detections.scores[faces.owners]
        best = fit_scores.topk(CANDIDATES, dim=1).indices
        target = torch.zeros_like(detections.scores)
        target[faces.owners[:, None], best] = 1
    owners = faces.owners[:, None]
    scores = detections.scores.float().clamp(1e-6, 1 - 1e-6)
    cross_entropy = F.binary_cross_entropy(scores, target, reduction="sum") / target.sum()
    overlaps = overlap(detections.boxes[owners, best], faces.boxes[:, None])
    edges = (detections.boxes[owners, best] - faces.boxes[:, None]) / size[:, None, None]
    offsets = detections.keypoints[owners, best] - faces.keypoints[:, None]
    offsets = offsets / size[:, None, None, None]
    return {
        "score": cross_entropy,
        "box": (1 - overlaps).mean() + edges.abs().mean(),
        "points": 5 * offsets.abs().mean(),
    }


def make_trainable(detector: TorchYuNet) -> TorchYuNet:
    """Turn the detector's constants into parameters."""
    for name, constant in list(detector.named_buffers()):
        delattr(detector, name)
        detector.register_parameter(name, nn.Parameter(constant))
    return detector


def train_face_detector(
    file: Path, scenes: SceneFaces, first: int, last: int, steps: int, batch: int, seed: int
) -> YuNet:
    """Train on scenes and on single people `first` to `last - 1`, in turn; write an ONNX file."""
    if not file.is_file():
        detector = make_trainable(TorchYuNet())

        def compute_loss(step: int) -> LossTerms:
            random = np.random.default_rng([seed, step, 70])
            if step % 2:
                faces = scenes.sample(random, batch)
            else:
                faces = draw_single_faces(random, batch, first, last)
            faces = faces._replace(images=augment_images(faces.images, random))
            return detection_losses(detector, faces)

        weights = file.with_suffix(".safetensors")
        fit(detector, compute_loss, weights, steps, LEARNING_RATE, 0.99)
        detector.write(file)
    return YuNet(file=file)


def evaluate_detector(detector: YuNet, first: int, last: int) -> tuple[float, float]:
    """Return the share of portraits in which one face is found, and the error of its keypoints.

    The error is the mean distance divided by the distance of the eyes, NaN if no face is found.
    """
    errors = []
    for number in range(first, last):
        portrait = draw_portrait(number)
        faces = detector.detect(portrait.pixels)
        if len(faces) == 1:
            points = portrait.keypoints
            distance = np.linalg.norm(faces[0].keypoints - points, axis=1).mean()
            errors.append(distance / np.linalg.norm(points[1] - points[0]))
    return len(errors) / (last - first), float(np.mean(errors)) if errors else float("nan")
