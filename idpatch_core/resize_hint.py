"""A hint of another size: the same people at the same places, with patches of their own size."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .canvas import HEAD_RADIUS, Hint, check_aspect, check_size, compose, resize_patch
from .layout import Figure, Point, rescale_points
from .overlap import SUM
from .skeleton import draw_openpose


def resize_hint(
    hint: Hint,
    patches: Tensor,
    width: int,
    height: int,
    face_sized: bool = False,
    overlap: str = SUM,
) -> Hint:
    """Return the hint of an image of width x height pixels.

    `patches` (F, 3, P, P) are added at the people's points as they are; with `face_sized` each is
    as large as the face. Skeletons are drawn anew, so that their lines are as wide as the model
    was trained with; another base is resized, bicubic. Raises ValueError if the aspect ratio is
    another or no latent has this size.
    """
    check_size(width, height)
    check_aspect("id_hint", (hint.width, hint.height), width, height)
    scale = width / hint.width, height / hint.height
    points = rescale_points(hint.points, (hint.width, hint.height), (width, height))
    poses = None
    if hint.poses is not None:
        poses = hint.poses * hint.poses.new_tensor([*scale, 1.0])
        drawn = draw_openpose(poses.cpu().double().numpy(), width, height)
        base = torch.from_numpy(drawn).permute(2, 0, 1)[None].float() / 255
    else:
        base = F.interpolate(
            hint.base, (height, width), mode="bicubic", align_corners=False, antialias=True
        ).clamp(0, 1)
    figures = tuple(figure and resize_figure(figure, scale) for figure in hint.figures)
    size = patches.shape[-1]
    sides = [
        round(figure.radius / HEAD_RADIUS) if figure and face_sized else size
        for figure in figures or [None] * len(points)
    ]
    resized = [resize_patch(patch, side) for patch, side in zip(patches, sides, strict=True)]
    image = compose(base, resized, points, overlap)
    return Hint(image, base, tuple(points), hint.names, figures, poses, hint.phrases)


def resize_figure(figure: Figure, scale: Sequence[float]) -> Figure:
    """Return a person's figure in an image that is larger by a factor in x and in y."""

    def move(point: Point) -> Point:
        return Point(point.x * scale[0], point.y * scale[1])

    limbs = tuple((move(start), move(end)) for start, end in figure.limbs)
    return Figure(move(figure.point), figure.radius * scale[0], limbs)
