"""Crops round a head: where they lie, how much they are enlarged, and the mask to stitch them.

Points and lengths are in pixels. A mask's pixels are those of the image, not of the enlarged crop.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .canvas import LATENT_SCALE, Hint
from .face_detector import Face
from .layout import Point, is_inside, rescale_points
from .skeleton import FACE_TO_EYES, VISIBLE, Joint, find_head
from .verification.assignment import assign_faces

# In distances of the eyes: the circle of the mask, with hair and ears, how far its centre lies
# above the nose, and its soft edge.
MASK_RADIUS, MASK_RISE, FEATHER = 2.3, 0.4, 0.4
NOSE_HEIGHT = 0.45  # of the crop's height from its top: below the head there is more to see
ROOM = 3  # widths of the face that a crop must hold at least, so that it holds the mask
# From nose to ear, in distances of the eyes: 1 from the front, this in profile, where the eyes
# come together.
PROFILE_EAR = 1.9


class CroppedHead(NamedTuple):
    """A head in an image: its nose, and the distance of its eyes if it faced the camera."""

    point: Point
    eye_distance: float

    @property
    def face_width(self) -> float:
        return FACE_TO_EYES * self.eye_distance


class HeadCrop(NamedTuple):
    """A rectangle of whole pixels in an image, and the size that it is enlarged to."""

    left: int
    top: int
    width: int
    height: int
    enlarged_width: int
    enlarged_height: int

    def to_crop(self, point: Point) -> Point:
        """Return a point of the image in the enlarged crop."""
        return Point(
            (point.x - self.left) * self.enlarged_width / self.width,
            (point.y - self.top) * self.enlarged_height / self.height,
        )

    def poses_to_crop(self, poses: np.ndarray) -> np.ndarray:
        """Return skeletons (N, 18, 3) of the image in the enlarged crop."""
        scale = self.enlarged_width / self.width, self.enlarged_height / self.height
        return (poses - [self.left, self.top, 0.0]) * [*scale, 1.0]

    def cut(self, images: Tensor) -> Tensor:
        """Return a view of this part of images (..., H, W, C)."""
        bottom, right = self.top + self.height, self.left + self.width
        return images[..., self.top : bottom, self.left : right, :]


def estimate_eye_distance(person: np.ndarray) -> float | None:
    """Return the distance of the eyes of a skeleton (18, 3), as if it faced the camera.

    None unless both eyes, or the nose and an ear, are visible.
    """
    nose, eyes = person[Joint.NOSE], person[[Joint.R_EYE, Joint.L_EYE]]
    found = []
    if (eyes[:, 2] > VISIBLE).all():
        found.append(math.dist(eyes[0, :2], eyes[1, :2]))
    for ear in person[[Joint.R_EAR, Joint.L_EAR]]:
        if min(nose[2], ear[2]) > VISIBLE:
            found.append(math.dist(nose[:2], ear[:2]) / PROFILE_EAR)
    return max(found, default=None)


def find_cropped_heads(
    hint: Hint, faces: Sequence[Face], width: int, height: int, patch_size: int
) -> list[CroppedHead | None]:
    """Return each person's head in an image of this size, None for a person who is not in it.

    The distance of the eyes is that of the hint's skeletons, else that of the face found at the
    person's point, else that of a face as wide as the patch, as the Placer assumes.
    """
    size = hint.width, hint.height
    points = [
        point if point and is_inside(point, width, height) else None
        for point in rescale_points(hint.points, size, (width, height))
    ]
    noses, boxes = [face.nose for face in faces], [face.box for face in faces]
    indices = assign_faces(points, noses, boxes)
    scale = width / hint.width
    poses = np.zeros((0, 18, 3)) if hint.poses is None else hint.poses.cpu().double().numpy()
    heads: list[CroppedHead | None] = []
    for person, point in enumerate(points):
        drawn = hint.points[person]
        eyes = drawn and find_drawn_eyes(drawn, poses, patch_size / 2)
        index = indices[person]
        if eyes is not None:
            eyes *= scale
        elif index is not None:
            eyes = faces[index].eye_distance
        else:
            eyes = patch_size * scale / FACE_TO_EYES
        heads.append(point and CroppedHead(point, max(eyes, 1.0)))
    return heads


def find_drawn_eyes(point: Point, poses: np.ndarray, reach: float) -> float | None:
    """Return the distance of the eyes of the skeleton (N, 18, 3) whose head is at a point.

    As if it faced the camera; None without a head within `reach` pixels.
    """
    nearest, eyes = reach, None
    for pose in poses:
        head = find_head(pose)
        if head is not None and math.dist(head.point, point) <= nearest:
            nearest, eyes = math.dist(head.point, point), estimate_eye_distance(pose)
    return eyes


def plan_crop(head: CroppedHead, width: int, height: int, size: int, face_size: int) -> HeadCrop:
    """Return the crop round a head in an image of width x height.

    `size` is the side of the enlarged crop, `face_size` the width of the face in it. A face that
    is larger already is not reduced. The crop lies within the image, whose whole side it takes
    where the image is smaller.
    """
    scale = max(face_size / head.face_width, 1.0)

    def fit(centre: float, share: float, side: int) -> tuple[int, int, int]:
        multiples = int(min(size, side * scale)) // LATENT_SCALE
        enlarged = max(multiples, 1) * LATENT_SCALE
        length = min(max(round(enlarged / scale), 1), side)
        start = round(centre - share * length)
        return min(max(start, 0), side - length), length, enlarged

    left, crop_width, enlarged_width = fit(head.point.x, 0.5, width)
    top, crop_height, enlarged_height = fit(head.point.y, NOSE_HEIGHT, height)
    return HeadCrop(left, top, crop_width, crop_height, enlarged_width, enlarged_height)


def resize_images(images: Tensor, width: int, height: int) -> Tensor:
    """Resize images (N, H, W, C) in [0, 1], bicubic."""
    if tuple(images.shape[1:3]) == (height, width):
        return images.clone()
    resized = F.interpolate(
        images.movedim(-1, 1), (height, width), mode="bicubic", align_corners=False, antialias=True
    )
    return resized.movedim(1, -1).clamp(0, 1)


def draw_head_mask(crop: HeadCrop, heads: Sequence[CroppedHead | None], person: int) -> Tensor:
    """Return the mask (height, width) of a person's head within a crop, in pixels of the image.

    1 within MASK_RADIUS of the middle of the head, 0 beyond FEATHER more. Towards another head it
    ends, as softly, where the other is as near in units of its own size, so that no pixel belongs
    to two people.
    """
    own = heads[person]
    assert own is not None
    x = crop.left + torch.arange(crop.width, dtype=torch.float64) + 0.5
    y = crop.top + torch.arange(crop.height, dtype=torch.float64) + 0.5

    def measure_distance(head: CroppedHead) -> Tensor:
        """Return the distance from the middle (height, width), in distances of the eyes."""
        centre = head.point.y - MASK_RISE * head.eye_distance
        across, down = x[None, :] - head.point.x, y[:, None] - centre
        return torch.hypot(across, down) / head.eye_distance

    distance = measure_distance(own)
    mask = ((MASK_RADIUS + FEATHER - distance) / FEATHER).clamp(0, 1)
    for index, other in enumerate(heads):
        if index != person and other is not None:
            mask = torch.minimum(mask, ((measure_distance(other) - distance) / FEATHER).clamp(0, 1))
    return mask.float()


def stitch_crop(image: Tensor, crop: HeadCrop, refined: Tensor, mask: Tensor) -> Tensor:
    """Return the image (H, W, C) with the refined crop (h, w, 3) under the mask.

    Where the mask is 0, and in a fourth channel, the pixels stay as they are.
    """
    stitched = image.clone()
    part = crop.cut(stitched)[..., :3]
    small = resize_images(refined[None, ..., :3].to(part), crop.width, crop.height)[0]
    weight = mask.to(part)[..., None]
    part.copy_(torch.where(weight > 0, torch.lerp(part, small, weight), part))
    return stitched
