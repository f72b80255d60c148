"""Patch Placer: puts everybody's ID patch at their place in the condition image."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from comfy_api.v0_0_2 import io, ui
from torch import Tensor

from ..idpatch_core.canvas import LATENT_SCALE, Hint, compose, face_side, resize_patch
from ..idpatch_core.face_detector import YuNet
from ..idpatch_core.identity import Identity
from ..idpatch_core.layout import (
    ARRANGEMENTS,
    ASPECT_TOLERANCE,
    Head,
    Placement,
    Point,
    assign_left_to_right,
    head_at,
    outside,
    overlapping,
    parse_placements,
)
from ..idpatch_core.preview import draw_preview
from ..idpatch_core.projection import IDPatches
from ..idpatch_core.skeleton import Frame, draw_openpose, find_head, read_pose_keypoint
from . import sockets
from .images import save_temporary

AUTO, PLACEMENTS, POSE, FACES = "auto", "placements", "pose", "faces"
ARRANGEMENT_CHOICES = [AUTO, PLACEMENTS, POSE, FACES, *ARRANGEMENTS]
MAX_SIDE = 16384


def check_size(width: int, height: int) -> None:
    """Raise a ValueError unless a latent of exactly this size exists."""
    for name, side in (("width", width), ("height", height)):
        if side % LATENT_SCALE or side < LATENT_SCALE:
            below = max(side // LATENT_SCALE, 1) * LATENT_SCALE
            raise ValueError(
                f"{name}: {side} is not a multiple of {LATENT_SCALE}, which a latent needs. "
                f"The nearest that are: {below} and {below + LATENT_SCALE}."
            )


def check_aspect(name: str, given: tuple[int, int], width: int, height: int) -> None:
    """Raise a ValueError when a picture of the given width and height would be distorted."""
    ratio = (given[0] / given[1]) / (width / height)
    if abs(ratio - 1) > ASPECT_TOLERANCE:
        fitting = max(round(width * given[1] / given[0] / LATENT_SCALE), 1) * LATENT_SCALE
        raise ValueError(
            f"{name}: it is {given[0]}x{given[1]}, which has another aspect than the output of "
            f"{width}x{height}. Crop it, or set a size of its aspect, such as {width}x{fitting}."
        )


def read_base(base_image: Tensor, width: int, height: int) -> Tensor:
    """Return an IMAGE as the base picture (1, 3, height, width), resized where it has to be."""
    if base_image.shape[0] != 1:
        raise ValueError(
            f"base_image: expected one picture, got a batch of {base_image.shape[0]}. "
            "Choose one with Image From Batch."
        )
    if base_image.shape[-1] not in (1, 3, 4):
        raise ValueError(f"base_image: expected RGB, got {base_image.shape[-1]} channels.")
    check_aspect("base_image", (base_image.shape[2], base_image.shape[1]), width, height)
    base = base_image[..., :3].permute(0, 3, 1, 2).to("cpu", torch.float32).expand(1, 3, -1, -1)
    if base.shape[2:] == (height, width):
        return base
    resized = torch.nn.functional.interpolate(
        base, (height, width), mode="bicubic", align_corners=False, antialias=True
    )
    return resized.clamp(0, 1)


def read_pose(pose_keypoint: Any, width: int, height: int) -> tuple[np.ndarray, list[str]]:
    """Return the people of the first frame (N, 18, 3) in output pixels, and warnings."""
    frames: list[Frame] = read_pose_keypoint(pose_keypoint)
    frame, *rest = frames
    check_aspect("pose_keypoint", (frame.width, frame.height), width, height)
    warnings = []
    if rest:
        warnings.append(f"pose_keypoint: it has {len(frames)} frames; the first is used.")
    return frame.scaled_to(width, height), warnings


def find_heads(people: np.ndarray) -> tuple[list[Head], list[str]]:
    """Return where the people of a pose have their noses, and who has nothing of a head."""
    heads = [find_head(person) for person in people]
    warnings = [
        f"pose_keypoint: person {number} shows neither a head nor shoulders; nobody is put there."
        for number, head in enumerate(heads, start=1)
        if head is None
    ]
    return [head for head in heads if head is not None], warnings


def find_faces(base_image: Tensor, width: int, height: int) -> list[Head]:
    """Return the noses of the faces in an IMAGE, in output pixels."""
    picture = (base_image[0, ..., :3].clamp(0, 1) * 255).round().byte().cpu().numpy()
    if picture.shape[-1] == 1:
        picture = picture.repeat(3, axis=-1)
    scale = np.array([width / picture.shape[1], height / picture.shape[0]])
    found = []
    for face in YuNet().detect(np.ascontiguousarray(picture)):
        x, y = face.nose * scale
        eyes = float(np.linalg.norm((face.keypoints[1] - face.keypoints[0]) * scale))
        found.append(Head(Point(float(x), float(y)), face.score * face.area, eyes))
    return found


def place(
    arrangement: str,
    given: Sequence[Placement],
    poses: Sequence[Head] | None,
    faces: Sequence[Head] | None,
    names: Sequence[str],
    width: int,
    height: int,
    patch_size: int,
) -> tuple[list[Placement], list[str]]:
    """Return where everybody stands, and warnings about places that nobody was given."""
    if arrangement == AUTO:
        arrangement = PLACEMENTS if given else "row" if poses is None else POSE
    if arrangement in ARRANGEMENTS:
        points = ARRANGEMENTS[arrangement](len(names), width, height, patch_size)
        return [Placement(point) for point in points], []
    if arrangement == PLACEMENTS:
        if not given:
            raise ValueError(
                "placements: it is empty, but arrangement is 'placements'. Give a place for "
                "everybody, or set arrangement to 'auto'."
            )
        return list(given), []
    if arrangement not in (POSE, FACES):
        raise ValueError(
            f"arrangement: expected one of {', '.join(ARRANGEMENT_CHOICES)}, got {arrangement!r}."
        )
    found, source = (poses, "pose_keypoint") if arrangement == POSE else (faces, "base_image")
    if found is None:
        raise ValueError(
            f"arrangement: '{arrangement}' needs {source}, which is not connected. Connect it or "
            "choose another arrangement."
        )
    noun = "pose" if arrangement == POSE else "face"
    points, unused = assign_left_to_right(found, names, source, noun)
    warnings = [
        f"{source}: {len(found)} {noun}s found for {len(names)} people; the smallest or least "
        f"certain, at {head.point.x:.0f}, {head.point.y:.0f}, was left out."
        for head in unused
    ]
    return [Placement(point) for point in points], warnings


def warn_of_places(
    points: Sequence[Point | None],
    names: Sequence[str],
    width: int,
    height: int,
    patch_sizes: Sequence[int],
) -> list[str]:
    """Say who stands outside the picture and whose patches overlap."""
    shown = [f"person {number} ({name})" for number, name in enumerate(names, start=1)]
    warnings = [
        f"{shown[index]} stands outside the picture and gets no patch."
        for index in outside(points, width, height)
    ]
    warnings += [
        f"The patches of {shown[first]} and {shown[second]} overlap and add up; "
        f"stand them {(patch_sizes[first] + patch_sizes[second]) // 2} pixels apart."
        for first, second in overlapping(points, width, height, patch_sizes)
    ]
    return warnings


def patch_sides(points: Sequence[Point | None], heads: Sequence[Head], size: int) -> list[int]:
    """Return the side of everybody's patch: `size`, or that of the face that is at their point."""
    found = [head_at(point, heads, size / 2) for point in points]
    return [size if head is None else face_side(head.eyes, size) for head in found]


def save_base(base: Tensor) -> dict[str, str]:
    """Write the base picture (1, 3, H, W) for the editor's background."""
    pixels = (base[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()
    return save_temporary("base", pixels, ".jpg")


def report_people(
    people: Sequence[Identity], points: Sequence[Point | None]
) -> list[dict[str, Any]]:
    """Say for the editor who was put where, and what their face looks like."""
    return [
        {
            "name": person.name,
            "x": None if point is None else point.x,
            "y": None if point is None else point.y,
            "crop": None
            if person.crop is None
            else save_temporary("face", np.asarray(person.crop), ".png"),
        }
        for person, point in zip(people, points, strict=True)
    ]


class IDPatchPlacer(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchPlacer",
            display_name="Patch Placer",
            category=sockets.CATEGORY,
            description="Puts everybody's ID patch where they are to stand.",
            is_output_node=True,
            inputs=[
                sockets.Patches.Input(
                    "id_patches", tooltip="The people to place, from the ID Patch Builder."
                ),
                io.Int.Input(
                    "width",
                    default=1024,
                    min=64,
                    max=MAX_SIDE,
                    step=LATENT_SCALE,
                    tooltip="The width of the picture to make, in pixels; a multiple of 8.",
                ),
                io.Int.Input(
                    "height",
                    default=1024,
                    min=64,
                    max=MAX_SIDE,
                    step=LATENT_SCALE,
                    tooltip="The height of the picture to make, in pixels; a multiple of 8.",
                ),
                io.String.Input(
                    "placements",
                    default="",
                    multiline=True,
                    dynamic_prompts=False,
                    tooltip="Where everybody's nose is to be, in their order and in output pixels, "
                    'as JSON: [{"x": 412.5, "y": 230}, null]. null gives a person no patch. '
                    "The editor on the node writes it; leave it empty to place people "
                    "automatically.",
                ),
                io.Combo.Input(
                    "arrangement",
                    options=ARRANGEMENT_CHOICES,
                    default=AUTO,
                    optional=True,
                    tooltip="Where the places come from. auto: placements if there are any, "
                    "otherwise the poses if connected, otherwise a row. pose and faces assign "
                    "people from left to right to the poses or to the faces in base_image.",
                ),
                io.Image.Input(
                    "base_image",
                    optional=True,
                    tooltip="The picture that the patches are added to, such as a drawn pose. "
                    "Without it the poses are drawn on black, or the canvas stays black.",
                ),
                sockets.PoseKeypoint.Input(
                    "pose_keypoint",
                    optional=True,
                    tooltip="The poses that people are to take, from a pose node. They are drawn "
                    "as ID-Patch knows them and give the places.",
                ),
            ],
            outputs=[
                sockets.Hint.Output(
                    "id_hint",
                    display_name="id_hint",
                    tooltip="The condition image with everybody's patch, for the sampler or Apply "
                    "ID-Patch ControlNet.",
                ),
                io.Image.Output(
                    "preview",
                    display_name="preview",
                    tooltip="Who stands where, with the patches made visible; to look at only.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        id_patches: IDPatches,
        width: int,
        height: int,
        placements: str = "",
        arrangement: str = AUTO,
        base_image: Tensor | None = None,
        pose_keypoint: Any = None,
    ) -> io.NodeOutput:
        names, size = id_patches.names, id_patches.patches.shape[-1]
        if not names:
            raise ValueError("id_patches: there is nobody in it. Encode at least one person.")
        check_size(width, height)

        poses, faces, warnings = None, None, []
        base = torch.zeros(1, 3, height, width)
        if pose_keypoint is not None:
            people, warnings = read_pose(pose_keypoint, width, height)
            poses, more = find_heads(people)
            warnings += more
            if base_image is None:
                drawn = torch.from_numpy(draw_openpose(people, width, height))
                base = drawn.permute(2, 0, 1)[None].float() / 255
        if base_image is not None:
            base = read_base(base_image, width, height)
            try:
                faces = find_faces(base_image, width, height)
            except ImportError:  # without OpenCV the editor has no faces to snap to
                if arrangement == FACES:
                    raise

        given = parse_placements(placements, names) if arrangement in (AUTO, PLACEMENTS) else []
        people_placed, more = place(arrangement, given, poses, faces, names, width, height, size)
        points = [placement.point for placement in people_placed]
        heads = [*(poses or []), *(faces or [])] if id_patches.face_sized else []
        sides = patch_sides(points, heads, size)
        warnings += more + warn_of_places(points, names, width, height, sides)
        for warning in warnings:
            logging.warning("[ID-Patch] %s", warning)

        strengths = torch.tensor([placement.strength for placement in people_placed])
        whole = id_patches.patches * strengths[:, None, None, None]
        patches = [resize_patch(patch, side) for patch, side in zip(whole, sides, strict=True)]
        hint = Hint(compose(base, patches, points), base, tuple(points), tuple(names))
        preview = draw_preview(base, patches, points)

        drawn_base = base if base_image is not None or pose_keypoint is not None else None
        report = {
            "version": 1,
            "width": width,
            "height": height,
            "people": report_people(id_patches.people, points),
            "base": drawn_base if drawn_base is None else save_base(drawn_base),
            "poses": [head.point for head in poses or []],
            "faces": [head.point for head in faces or []],
            "patch_size": size,
            "head_patches": [[*head.point, face_side(head.eyes, size)] for head in heads],
            "warnings": warnings,
        }
        pictures = ui.PreviewImage(preview, cls=cls).as_dict()
        return io.NodeOutput(hint, preview, ui={**pictures, "idpatch_placer": [report]})
