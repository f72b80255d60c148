"""POSE_KEYPOINT of other packs and of files."""

import json
from pathlib import Path

import torch

from idpatch_core.layout import assign_left_to_right
from idpatch_core.pose_fit import Base, fit_pose, warn_of_photo
from idpatch_core.pose_reader import read_pose_keypoint
from idpatch_core.poses import make_preset, to_pose_keypoint
from idpatch_core.skeleton import draw_openpose, find_heads

from ..mutations import mutate_json
from ..target import Target

WIDTH, HEIGHT = 128, 96


def read_poses(data: bytes, folder: Path) -> None:
    """Read poses, fit them to an image, draw them and find their heads."""
    drawing = torch.zeros(1, 3, HEIGHT, WIDTH)
    drawing[..., HEIGHT // 2, :] = 1.0
    try:
        pose = json.loads(data)
    except RecursionError as error:  # as Load Pose does
        raise ValueError("nested too deeply") from error
    for frame in read_pose_keypoint(pose):
        for base in (None, Base(drawing, (WIDTH, HEIGHT))):
            people, _ = fit_pose(frame, WIDTH, HEIGHT, base)
        warn_of_photo(Base(drawing, (WIDTH, HEIGHT)))
        heads, _ = find_heads(people)
        draw_openpose(people, WIDTH, HEIGHT)
        assign_left_to_right(heads, ["Ada"], "pose_keypoint", "head")


def make_seeds() -> list[bytes]:
    presets = [
        to_pose_keypoint(make_preset(name, WIDTH, HEIGHT), WIDTH, HEIGHT)
        for name in ("standing_1", "standing_3")
    ]
    (person,) = presets[0][0]["people"]
    values = person["pose_keypoints_2d"]
    others = [values + values[:21], values[:51], [v / WIDTH for v in values], [None] * 54, None]
    frames = [[{**presets[0][0], "people": [{"pose_keypoints_2d": other}]}] for other in others]
    padded = [{**presets[0][0], "canvas_width": 192, "canvas_height": 128}]
    several = presets[0] + presets[1]
    foreign = [{"version": 1.3, "people": []}, {"animals": []}, {"keypoints": []}]
    seeds = (*presets, *frames, padded, several, *foreign)
    return [json.dumps(seed).encode() for seed in seeds]


TARGET = Target(read_poses, make_seeds, mutate_json)
