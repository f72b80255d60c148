"""The folders that hold the pack's model files, and what to say when a file is missing."""

from pathlib import Path
from typing import NamedTuple

import folder_paths


class ModelFolder(NamedTuple):
    """A folder in ComfyUI's models folder; `name` is also its key in extra_model_paths.yaml."""

    name: str
    extensions: tuple[str, ...]
    released_file: str
    source: str  # where to fetch the released file


ID_PATCH = ModelFolder(
    "idpatch",
    (".safetensors", ".bin"),
    "id-patch.bin",
    "https://huggingface.co/ByteDance/ID-Patch",
)
FACE_RECOGNITION = ModelFolder(
    "facexlib",
    (".pth", ".safetensors"),
    "recognition_arcface_ir_se50.pth",
    "https://github.com/xinntao/facexlib/releases/tag/v0.1.0",
)


def register(folder: ModelFolder) -> None:
    """Add the folder to those that ComfyUI searches; paths of extra_model_paths.yaml stay."""
    path = Path(folder_paths.models_dir, folder.name)
    folder_paths.add_model_folder_path(folder.name, str(path))
    extensions = folder_paths.folder_names_and_paths[folder.name][1]
    if not extensions:  # otherwise another pack's, perhaps ComfyUI's own set that all share
        extensions.update(folder.extensions)


register(ID_PATCH)
register(FACE_RECOGNITION)


def list_files(folder: ModelFolder) -> list[str]:
    """Return the choices of a file input: what is there, otherwise the released file's name.

    An empty list would let ComfyUI say no more than that the input is missing.
    """
    return folder_paths.get_filename_list(folder.name) or [folder.released_file]


def missing_file(folder: ModelFolder, file: str) -> str | None:
    """Return what the user has to do if the file is not there.

    For `validate_inputs`, where ComfyUI puts the input's name before it.
    """
    if folder_paths.get_full_path(folder.name, file) is not None:
        return None
    places = folder_paths.get_folder_paths(folder.name)
    return (
        f"{file} was not found in {' or '.join(places)}. "
        f"Fetch {folder.released_file} from {folder.source} and put it there, then press R."
    )


def find_file(folder: ModelFolder, input_name: str, file: str) -> Path:
    """Return a file's path. Raises ValueError with what to do if it is not there."""
    message = missing_file(folder, file)
    if message:
        raise ValueError(f"{input_name}: {message}")
    return Path(folder_paths.get_full_path_or_raise(folder.name, file))
