"""The folders of the pack's model files, and the error for a file that is missing."""

from pathlib import Path
from typing import NamedTuple

import folder_paths


class ModelFolder(NamedTuple):
    """A folder in ComfyUI's models folder; `name` is also its key in extra_model_paths.yaml."""

    name: str
    extensions: tuple[str, ...]
    released_file: str
    source: str  # where to download the released file


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
    """Add the folder to ComfyUI's search paths; those of extra_model_paths.yaml stay."""
    path = Path(folder_paths.models_dir, folder.name)
    folder_paths.add_model_folder_path(folder.name, str(path))
    extensions = folder_paths.folder_names_and_paths[folder.name][1]
    if not extensions:  # otherwise another pack's, or the set that ComfyUI's folders share
        extensions.update(folder.extensions)


register(ID_PATCH)
register(FACE_RECOGNITION)


def list_files(folder: ModelFolder) -> list[str]:
    """Return the options of a file input: the files, or the released file's name without any.

    With an empty list ComfyUI's error would only say that the input is missing.
    """
    return folder_paths.get_filename_list(folder.name) or [folder.released_file]


def missing_file(folder: ModelFolder, file: str) -> str | None:
    """Return an error that says what to do if the file does not exist, None otherwise.

    For `validate_inputs`, where ComfyUI puts the input's name before it.
    """
    if folder_paths.get_full_path(folder.name, file) is not None:
        return None
    searched = folder_paths.get_folder_paths(folder.name)
    return (
        f"{file} was not found in {' or '.join(searched)}. "
        f"Download {folder.released_file} from {folder.source}, put it there and press R."
    )


def find_file(folder: ModelFolder, input_name: str, file: str) -> Path:
    """Return a file's path. Raises ValueError that says what to do if it does not exist."""
    message = missing_file(folder, file)
    if message:
        raise ValueError(f"{input_name}: {message}")
    return Path(folder_paths.get_full_path_or_raise(folder.name, file))


def fingerprint_path(path: str | Path | None) -> str:
    """Return a text that changes with a file's content, for `fingerprint_inputs`; "" without it."""
    if path is None or not Path(path).is_file():
        return ""
    stat = Path(path).stat()
    return f"{path} {stat.st_mtime_ns} {stat.st_size}"


def fingerprint_file(folder_name: str, file: str | None) -> str:
    """Return `fingerprint_path` of a file in one of ComfyUI's folders.

    ComfyUI passes None for an input that is linked: its value is part of the cache key anyway.
    """
    return fingerprint_path(file and folder_paths.get_full_path(folder_name, file))
