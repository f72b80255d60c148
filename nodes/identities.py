"""Save Identities and Load Identities: people in files."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
from comfy_api.v0_0_2 import io

from ..idpatch_core.identity import Identity, append, load_identities, serialize_identities
from . import sockets
from .folders import describe_missing, fingerprint_file, save_outputs
from .images import save_crop
from .schema import Schema

NONE_SAVED = "none"
IDENTITIES_FOLDER = "idpatch_identities"  # ComfyUI's key of the folder
SUBFOLDER = "identities"  # of the output folder

folder_paths.add_model_folder_path(
    IDENTITIES_FOLDER, str(Path(folder_paths.get_output_directory(), SUBFOLDER))
)
folder_paths.folder_names_and_paths[IDENTITIES_FOLDER][1].add(".safetensors")


def show_people(
    entries: Sequence[tuple[str, float | None, np.ndarray | None]], warnings: list[str]
) -> dict:
    """Return what a node shows: crops with names and detector scores, and the warnings."""
    for warning in warnings:
        logging.warning("[ID-Patch] %s", warning)
    faces: list[dict[str, Any]] = [
        {
            "name": name,
            "score": score,
            "crop": save_crop(crop),
        }
        for name, score, crop in entries
    ]
    return {
        "images": [face["crop"] for face in faces if face["crop"]],
        "animated": (False,),
        "idpatch_faces": [{"faces": faces, "warnings": warnings}],
    }


def missing_identities(file: Any) -> str | None:
    """Return an error that says what to do if the file does not exist, None otherwise."""
    return describe_missing(IDENTITIES_FOLDER, file, "Save people with Save Identities.")


class IDPatchSaveIdentities(sockets.Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchSaveIdentities",
            display_name="Save Identities",
            category=sockets.CATEGORY,
            search_aliases=["save face", "save embedding"],
            description="Saves people to a file in output/identities, with their names and face "
            "crops.",
            is_output_node=True,
            inputs=[
                sockets.Identities.Input("identities", tooltip="The people to save."),
                io.String.Input(
                    "filename_prefix",
                    default="people",
                    tooltip="The beginning of the file name; a number is appended, so that no "
                    "file is overwritten. It may contain a folder, such as family/people.",
                ),
            ],
        )

    @classmethod
    def execute(cls, identities: list[Identity], filename_prefix: str = "people") -> io.NodeOutput:
        content = {".safetensors": serialize_identities(identities)}
        save_outputs("filename_prefix", filename_prefix, content, SUBFOLDER)
        return io.NodeOutput(ui=show_people([(p.name, None, p.crop) for p in identities], []))


class IDPatchLoadIdentities(sockets.Node):
    FILE_INPUTS = ("file",)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchLoadIdentities",
            display_name="Load Identities",
            category=sockets.CATEGORY,
            search_aliases=["load face", "load embedding", "saved people"],
            has_intermediate_output=True,
            description="Loads people from a file in output/identities, without a face model.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=folder_paths.get_filename_list(IDENTITIES_FOLDER) or [NONE_SAVED],
                    tooltip="A file of Save Identities, in output/identities.",
                ),
                sockets.Identities.Input(
                    "identities",
                    optional=True,
                    tooltip="People of another node. Those of the file are added after them.",
                ),
            ],
            outputs=[
                sockets.Identities.Output(
                    display_name="identities",
                    tooltip="The people in order, for the ID Patch Builder.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, file: str | None = None) -> bool | str:
        return file is None or missing_identities(file) or True

    @classmethod
    def fingerprint_inputs(cls, file: str | None, **_: Any) -> str:
        return fingerprint_file(IDENTITIES_FOLDER, file)

    @classmethod
    def execute(cls, file: str, identities: list[Identity] | None = None) -> io.NodeOutput:
        if message := missing_identities(file):
            raise ValueError(f"file: {message}")
        try:
            loaded = load_identities(folder_paths.get_full_path_or_raise(IDENTITIES_FOLDER, file))
        except ValueError as error:
            raise ValueError(f"file: {error}") from error
        before = identities or []
        people = append(before, loaded)
        entries = [(person.name, None, person.crop) for person in people[len(before) :]]
        return io.NodeOutput(people, ui=show_people(entries, []))
