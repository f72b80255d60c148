"""The folders of the pack's model files, the error for a missing file, and new output files."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import folder_paths

from ..idpatch_core.describe import describe_value, escape_surrogates
from ..idpatch_core.journal import remove_old_parts, write_whole


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


def missing_file(folder: ModelFolder, file: Any) -> str | None:
    """Return an error that says what to do if the file does not exist, None otherwise.

    For `validate_inputs`, where ComfyUI puts the input's name before it.
    """
    advice = f"Download {folder.released_file} from {folder.source}, put it there and press R."
    return describe_missing(folder.name, file, advice)


def describe_missing(folder_name: str, file: Any, advice: str) -> str | None:
    """Return an error if the file is not in one of ComfyUI's folders, None otherwise.

    The value may be anything that a client sent: `validate_inputs` is called before its check.
    """
    if not isinstance(file, str):
        return f"expected the name of a file, got {describe_value(file)}. {advice}"
    if folder_paths.get_full_path(folder_name, file) is not None:
        return None
    searched = " or ".join(folder_paths.get_folder_paths(folder_name))
    named = escape_surrogates(file) or describe_value(file)
    return f"{named} was not found in {searched}. {advice}"


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


def save_outputs(
    input_name: str, prefix: str, contents: Mapping[str, bytes], subfolder: str = ""
) -> list[dict[str, str]]:
    """Write new files `prefix_00001_.suffix` below the output folder, whole or not at all.

    `contents` by suffix, such as .txt. Returns ComfyUI's references to the files. Raises ValueError
    that names the input if the prefix has no file name, would leave the folder, or cannot be
    written.
    """
    root = Path(folder_paths.get_output_directory(), subfolder)
    parts = re.split(r"[/\\]", prefix)
    if not parts[-1].strip(" .") or "\0" in prefix:
        raise ValueError(
            f"{input_name}: {prefix!r} has no file name. Write one, such as people, or "
            "family/people for a file in a folder."
        )
    if ".." in parts or not parts[0] or parts[0][1:2] == ":":
        raise ValueError(
            f"{input_name}: {prefix!r} leaves the folder {root}. Write a name, or folders and a "
            "name, without .. and without a drive."
        )
    prefix = "/".join(part for part in parts if part not in ("", "."))
    try:
        folder, name, counter, _, _ = folder_paths.get_save_image_path(prefix, str(root))
        while any(Path(folder, f"{name}_{counter:05}_{suffix}").exists() for suffix in contents):
            counter += 1
        paths = [Path(folder, f"{name}_{counter:05}_{suffix}") for suffix in contents]
        remove_old_parts(Path(folder), f"{name}_")
        for path, content in zip(paths, contents.values(), strict=True):
            write_whole(path, content)
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(
            f"{input_name}: {prefix} cannot be written in {root} ({reason}). Choose another name, "
            "or make room."
        ) from error
    output = folder_paths.get_output_directory()
    return [
        {
            "filename": path.name,
            "subfolder": Path(folder).relative_to(output).as_posix().strip("."),
            "type": "output",
        }
        for path in paths
    ]
