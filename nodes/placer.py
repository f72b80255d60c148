"""Patch Placer: places each person's ID patch in the condition image."""

import logging
from typing import Any

import numpy as np
import torch
from comfy_api.v0_0_2 import io, ui
from torch import Tensor

from ..idpatch_core.bodies import KINDS, choose_people
from ..idpatch_core.canvas import (
    LATENT_SCALE,
    Hint,
    check_size,
    compose,
    face_side,
    find_patch_sides,
    make_figures,
    read_base,
    resize_patch,
)
from ..idpatch_core.face_detector import YuNet
from ..idpatch_core.identity import check_not_empty
from ..idpatch_core.layout import (
    ARRANGEMENT_IDS,
    AUTO_ARRANGEMENT,
    FROM_FACES,
    FROM_PLACEMENTS,
    Head,
    Point,
    arrange_people,
    rank_heads,
    warn_about_placements,
)
from ..idpatch_core.overlap import OVERLAPS, SUM
from ..idpatch_core.placements import read_placements
from ..idpatch_core.pose_fit import Base, fit_pose, warn_of_photo
from ..idpatch_core.pose_reader import read_pose_keypoint
from ..idpatch_core.preview import draw_preview
from ..idpatch_core.projection import IDPatches
from ..idpatch_core.skeleton import Joint, draw_openpose, find_heads
from ..idpatch_core.small_faces import warn_of_small_faces
from ..idpatch_core.upright import detect_people
from . import sockets
from .images import read_images
from .placer_report import report_people, report_poses, save_base, save_reference
from .schema import Schema

MAX_SIDE = 16384
BODIES_FROM_POSE, NO_BODIES = "from_pose", "none"
# A person who hugs needs another one: the editor offers that kind, and Load Pose does in pairs.
BODY_CHOICES = [BODIES_FROM_POSE, NO_BODIES, *(kind for kind in KINDS if kind != "hugging")]
NO_SKELETON = (
    "bodies: the image has no skeleton, and the released ControlNet was not trained on such "
    "images. Choose a kind of bodies, such as standing, or connect a pose; for a pose-free "
    "ID-Patch model choose none."
)


def read_pose(
    pose_keypoint: Any, width: int, height: int, base: Base | None
) -> tuple[np.ndarray, list[str]]:
    """Return the people of the first frame (N, 18, 3) in output pixels, and warnings."""
    frames = read_pose_keypoint(pose_keypoint)
    people, warnings = fit_pose(frames[0], width, height, base)
    if len(frames) > 1:
        warnings.append(f"pose_keypoint: it has {len(frames)} frames; the first is used.")
    return people, warnings


def find_faces(
    photo: Tensor, width: int, height: int, people: int, *, fitted: bool = False
) -> list[Head]:
    """Return the heads of the faces in an IMAGE, in output pixels.

    Where it shows fewer than `people`, it is searched for turned faces too. The image fills the
    output; with `fitted` it keeps its aspect ratio and is in the middle.
    """
    (image,) = read_images(photo[:1])
    scale = np.array([width / image.shape[1], height / image.shape[0]])
    if fitted:
        scale = np.full(2, scale.min())
    corner = (np.array([width, height]) - scale * image.shape[1::-1]) / 2 if fitted else 0
    heads = []
    for face in detect_people(YuNet(), image, people):
        x, y = face.nose * scale + corner
        eye_distance = float(np.linalg.norm((face.keypoints[1] - face.keypoints[0]) * scale))
        heads.append(Head(Point(float(x), float(y)), face.score * face.area, eye_distance))
    return heads


def draw_people(people: np.ndarray, base: Tensor) -> Tensor:
    """Return the base image (1, 3, H, W) with people (N, 18, 3) drawn on it."""
    drawn = torch.from_numpy(draw_openpose(people, base.shape[3], base.shape[2]))
    drawn = drawn.permute(2, 0, 1)[None].float() / 255
    return torch.where(drawn.amax(dim=1, keepdim=True) > 0, drawn, base)


class IDPatchPlacer(sockets.Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchPlacer",
            display_name="Patch Placer",
            category=sockets.CATEGORY,
            search_aliases=["group photo", "multi person", "multiple people", "regional"],
            description="Places each person's ID patch in the condition image.",
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
                    tooltip="The width of the output image in pixels; a multiple of 8.",
                ),
                io.Int.Input(
                    "height",
                    default=1024,
                    min=64,
                    max=MAX_SIDE,
                    step=LATENT_SCALE,
                    tooltip="The height of the output image in pixels; a multiple of 8.",
                ),
                io.String.Input(
                    "placements",
                    default="",
                    multiline=True,
                    dynamic_prompts=False,
                    tooltip="The point of each person's nose, in their order and in output pixels, "
                    'as JSON: [{"x": 412.5, "y": 230}, null]. null gives a person no patch. '
                    "The editor on the node writes it; leave it empty to place people "
                    "automatically.",
                ),
                io.Combo.Input(
                    "arrangement",
                    options=ARRANGEMENT_IDS,
                    default=AUTO_ARRANGEMENT,
                    optional=True,
                    tooltip="Where the people are placed. auto: by placements if there are any, "
                    "otherwise on the poses if connected, otherwise in a row. pose and faces: "
                    "from left to right on the poses, or on the faces in base_image.",
                ),
                io.Image.Input(
                    "base_image",
                    optional=True,
                    tooltip="The image that the patches are added to, such as a drawn pose. "
                    "Without it the poses are drawn on black, or the image stays black.",
                ),
                sockets.PoseKeypoint.Input(
                    "pose_keypoint",
                    optional=True,
                    tooltip="The people's poses, from a pose node. They are drawn in the style "
                    "that ID-Patch was trained with, and give the points.",
                ),
                io.Combo.Input(
                    "bodies",
                    options=BODY_CHOICES,
                    default=BODIES_FROM_POSE,
                    optional=True,
                    tooltip="Which skeletons are drawn under people who have no body in placements "
                    "and no pose at their point. from_pose: none, with a warning where the image "
                    "has no skeleton at all. The others draw one under each face. none: for "
                    "pose-free ID-Patch models, without a warning.",
                ),
                io.Image.Input(
                    "reference_image",
                    optional=True,
                    tooltip="A photo to place people after: the editor shows it and its faces "
                    "give points. It is not drawn into the condition image.",
                ),
                io.Combo.Input(
                    "overlap",
                    options=OVERLAPS,
                    default=SUM,
                    optional=True,
                    tooltip="How patches that overlap are combined. sum: they add up, as in the "
                    "reference. The others divide the pixels among the people. nearer: to the "
                    "nearest point. larger: to the larger patch. soft: like nearer, blended.",
                ),
            ],
            outputs=[
                sockets.Hint.Output(
                    "id_hint",
                    display_name="id_hint",
                    tooltip="The condition image with each person's patch, for the ID-Patch "
                    "Sampler or Apply ID-Patch ControlNet.",
                ),
                io.Image.Output(
                    "preview",
                    display_name="preview",
                    tooltip="The condition image with visible patches and each person's number.",
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
        arrangement: str = AUTO_ARRANGEMENT,
        base_image: Tensor | None = None,
        pose_keypoint: Any = None,
        bodies: str = BODIES_FROM_POSE,
        reference_image: Tensor | None = None,
        overlap: str = SUM,
    ) -> io.NodeOutput:
        names, size = id_patches.names, id_patches.patches.shape[-1]
        check_not_empty("id_patches", names)
        check_size(width, height)

        poses, warnings = None, []
        base = torch.zeros(1, 3, height, width)
        people = np.zeros((0, len(Joint), 3))
        drawing = None
        if base_image is not None:
            base = read_base(base_image, width, height)
            drawing = Base(base, (base_image.shape[2], base_image.shape[1]))
        if pose_keypoint is not None:
            people, warnings = read_pose(pose_keypoint, width, height, drawing)
            poses, more = find_heads(people)
            warnings += more
        if drawing is not None:
            warnings += warn_of_photo(drawing)
        photo, source = reference_image, "reference_image"
        if photo is None and base_image is not None:
            photo, source = base_image, "base_image"
        faces = None
        if photo is not None:
            try:
                fitted = source == "reference_image"
                expected = len(names) if fitted or arrangement == FROM_FACES else 0
                faces = find_faces(photo, width, height, expected, fitted=fitted)
            except ImportError:  # without OpenCV the editor cannot snap to faces
                if arrangement == FROM_FACES:
                    raise

        parsed = arrangement in (AUTO_ARRANGEMENT, FROM_PLACEMENTS)
        given, more = [], []
        if parsed:
            given, more = read_placements(placements, names, width, height, size)
        warnings += more
        arranged, more = arrange_people(
            arrangement, given, poses, faces, names, width, height, size, source
        )
        warnings += more
        points = [placement.point for placement in arranged]
        kind = bodies if bodies in KINDS and base_image is None else None
        below = people if base_image is None else people[:0]
        drawn = choose_people(arranged, below, kind, height, size)
        shown = list(poses or [])
        if drawn is not below:
            shown, _ = find_heads(drawn)
        if len(drawn):
            base = draw_people(drawn, base)
        elif bodies == BODIES_FROM_POSE and base_image is None:
            warnings.append(NO_SKELETON)

        found = [*shown, *(faces or [])]
        heads = found if id_patches.face_sized else []
        sides = find_patch_sides(points, heads, size)
        warnings += warn_about_placements(points, names, width, height, sides, overlap != SUM)
        warnings += warn_of_small_faces(points, drawn, names, width, height, size)
        for warning in warnings:
            logging.warning("[ID-Patch] %s", warning)

        strengths = torch.tensor([placement.patch_strength for placement in arranged])
        scaled = id_patches.patches * strengths[:, None, None, None]
        patches = [resize_patch(patch, side) for patch, side in zip(scaled, sides, strict=True)]
        figures = make_figures(points, found, size)
        image = compose(base, patches, points, overlap)
        skeletons = torch.from_numpy(drawn) if len(drawn) else None
        hint = Hint(image, base, tuple(points), names, figures, skeletons, id_patches.phrases)
        preview = draw_preview(base, patches, points)

        is_drawn = base_image is not None or len(drawn) > 0 or pose_keypoint is not None
        report = {
            "version": 1,
            "width": width,
            "height": height,
            "people": report_people(id_patches.people, points),
            "base": save_base(base) if is_drawn else None,
            **report_poses(people),
            "faces": [head.point for head in rank_heads(faces or [])],
            "reference": None if reference_image is None else save_reference(reference_image),
            "patch_size": size,
            "head_patches": [[*head.point, face_side(head.eye_distance, size)] for head in heads],
            "warnings": warnings,
        }
        images = ui.PreviewImage(preview, cls=cls).as_dict()
        return io.NodeOutput(hint, preview, ui={**images, "idpatch_placer": [report]})
