"""Load Pose: built-in poses, and poses of a JSON file."""

import json
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.v0_0_2 import io

from ..idpatch_core.pose_reader import read_pose_keypoint
from ..idpatch_core.poses import PRESETS, make_preset, to_pose_keypoint
from . import sockets
from .folders import fingerprint_path
from .schema import Schema


def list_pose_files() -> dict[str, Path]:
    """Return the JSON files of ComfyUI's input folder by name, without links that leave it."""
    folder = Path(folder_paths.get_input_directory()).resolve()
    return {
        path.name: path
        for path in sorted(folder.glob("*.json"))
        if path.is_file() and path.resolve().is_relative_to(folder)
    }


def read_pose_file(name: str) -> list[dict[str, Any]]:
    """Read and check POSE_KEYPOINT from a JSON file of the input folder."""
    path = list_pose_files().get(name)
    if path is None:
        raise ValueError(
            f"pose: there is no {name} in ComfyUI's input folder. Put the JSON file there, not "
            "into a folder below it, and press R."
        )
    try:
        pose = json.loads(path.read_text(encoding="utf-8-sig"))
        read_pose_keypoint(pose)
    except UnicodeDecodeError:
        raise ValueError(f"pose: {name} is not UTF-8. Save it in that encoding.") from None
    except RecursionError:
        raise ValueError(f"pose: {name} is nested too deeply to be a pose.") from None
    except OSError as error:
        raise ValueError(f"pose: {name} cannot be read ({error.strerror}).") from None
    except ValueError as error:  # a JSON error is one, too
        raise ValueError(f"pose: {name} holds no POSE_KEYPOINT. {error}") from None
    return pose if isinstance(pose, list) else [pose]


class IDPatchLoadPose(sockets.Node):
    FILE_INPUTS = ("pose",)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchLoadPose",
            display_name="Load Pose",
            category=sockets.CATEGORY,
            search_aliases=["openpose", "skeleton", "standing people", "pose keypoint"],
            description="Adds a built-in group pose, or poses from a JSON file.",
            inputs=[
                io.Combo.Input(
                    "pose",
                    options=[*PRESETS, *list_pose_files()],
                    default="standing_3",
                    tooltip="A group and how many people it shows: in a row, standing_1 to "
                    "standing_12, or in two rows, an arc or pairs that hug; or a JSON file of "
                    "POSE_KEYPOINT in ComfyUI's input folder, as pose nodes save it.",
                ),
                io.Int.Input(
                    "width",
                    default=1024,
                    min=64,
                    max=16384,
                    step=8,
                    tooltip="The width of the output image in pixels. A file has its own size.",
                ),
                io.Int.Input(
                    "height",
                    default=1024,
                    min=64,
                    max=16384,
                    step=8,
                    tooltip="The height of the output image in pixels. A file has its own size.",
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
    def fingerprint_inputs(cls, pose: str | None, width: int, height: int) -> Any:
        if pose in PRESETS:
            return pose, width, height
        return fingerprint_path(list_pose_files().get(pose or ""))

    @classmethod
    def execute(cls, pose: str, width: int, height: int) -> io.NodeOutput:
        if pose not in PRESETS:
            return io.NodeOutput(read_pose_file(pose))
        people = make_preset(pose, width, height)
        return io.NodeOutput(to_pose_keypoint(people, width, height))
