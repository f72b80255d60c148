"""Load Pose: built-in poses, and poses saved as JSON, without another pack."""

import json
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.v0_0_2 import io

from ..idpatch_core.poses import PRESETS, standing, to_pose_keypoint
from ..idpatch_core.skeleton import read_pose_keypoint
from . import sockets


def pose_files() -> list[str]:
    folder = Path(folder_paths.get_input_directory())
    return sorted(path.name for path in folder.glob("*.json"))


def read_pose_file(name: str) -> list[dict[str, Any]]:
    """Read POSE_KEYPOINT from a JSON file of the input folder, checked to be one."""
    path = Path(folder_paths.get_annotated_filepath(name))
    try:
        pose = json.loads(path.read_text(encoding="utf-8"))
        read_pose_keypoint(pose)
    except FileNotFoundError:
        raise ValueError(f"pose: there is no {name} in ComfyUI's input folder.") from None
    except ValueError as error:  # of which a JSON error is one
        raise ValueError(f"pose: {name} holds no POSE_KEYPOINT. {error}") from None
    return pose if isinstance(pose, list) else [pose]


class IDPatchLoadPose(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchLoadPose",
            display_name="Load Pose",
            category=sockets.CATEGORY,
            description="Gives a group of standing people, or the poses of a file, to be placed.",
            inputs=[
                io.Combo.Input(
                    "pose",
                    options=[*PRESETS, *pose_files()],
                    default="3 standing",
                    tooltip="So many people standing in a row, or a JSON file of POSE_KEYPOINT in "
                    "ComfyUI's input folder, as pose nodes save it.",
                ),
                io.Int.Input(
                    "width",
                    default=1024,
                    min=64,
                    max=16384,
                    step=8,
                    tooltip="The width of the picture to make, in pixels. A file has its own size.",
                ),
                io.Int.Input(
                    "height",
                    default=1024,
                    min=64,
                    max=16384,
                    step=8,
                    tooltip="The height of the picture to make, in pixels. A file has its own.",
                ),
            ],
            outputs=[
                sockets.PoseKeypoint.Output(
                    display_name="pose_keypoint",
                    tooltip="The poses, for the Patch Placer, which draws them and places people.",
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, pose: str, width: int, height: int) -> Any:
        if pose in PRESETS:
            return pose, width, height
        path = Path(folder_paths.get_annotated_filepath(pose))
        return pose, path.stat().st_mtime_ns if path.exists() else 0

    @classmethod
    def execute(cls, pose: str, width: int, height: int) -> io.NodeOutput:
        if pose not in PRESETS:
            return io.NodeOutput(read_pose_file(pose))
        people = standing(PRESETS[pose], width, height)
        return io.NodeOutput(to_pose_keypoint(people, width, height))
