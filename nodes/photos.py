"""Photos in ComfyUI's folders, and the faces that were found in them."""

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import folder_paths
import numpy as np
from torch import Tensor

import nodes as comfyui_nodes  # pyright: ignore[reportMissingImports]

from ..idpatch_core.encode import FaceCrop, crop_face, find_faces
from ..idpatch_core.face_detector import Face
from .faces import FaceModel, encode_crops
from .images import read_images

MEMORY = "idpatch_photos"  # the key of the face model's attachment
MOST_REMEMBERED = 64  # photos


class EncodedFace(NamedTuple):
    """A face of a photo, cropped, and its embedding (512,)."""

    crop: FaceCrop
    embedding: Tensor


class PhotoFaces(NamedTuple):
    """The faces of a photo of this (width, height), the largest first; those encoded by index."""

    size: tuple[int, int]
    faces: tuple[Face, ...]
    encoded: dict[int, EncodedFace]


def find_photo(file: str) -> Path | None:
    """Return the path of a photo as Load Image names it, or None if there is no such file.

    Raises ValueError if the name leaves ComfyUI's folders.
    """
    if "\0" in file:
        return None
    name, folder = folder_paths.annotated_filepath(file)
    base = Path(folder or folder_paths.get_input_directory())
    path = base / name
    # Not resolved: users link to folders elsewhere.
    if ".." in path.parts or not path.is_relative_to(base):
        raise ValueError(f"{file!r} leaves the folder {base}. Write a name without .. and drive.")
    return path if path.is_file() else None


def check_photo(file: str) -> Path:
    """Return a photo's path; raises ValueError that says what to do if it does not exist."""
    path = find_photo(file)
    if path is None:
        folder = folder_paths.get_input_directory()
        raise ValueError(f"{file} was not found in {folder}. Upload it again, or choose another.")
    return path


def hash_photo(file: str) -> str:
    """Return the SHA-256 of a photo's content, by which its faces are remembered."""
    path = check_photo(file)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load_photo(file: str) -> np.ndarray:
    """Return a photo (H, W, 3) uint8 RGB as Load Image reads it; of an animation, the first."""
    check_photo(file)
    try:
        node = comfyui_nodes.LoadImage()  # pyright: ignore[reportAttributeAccessIssue]
        image = node.load_image(image=file)[0]
    except Exception as error:  # of the decoder, whichever it is
        raise ValueError(f"{file} cannot be read as an image ({error}). Use another.") from error
    return read_images(image[:1])[0]


def find_photo_faces(face_model: FaceModel, file: str, here: str) -> PhotoFaces:
    """Return the faces of a photo; raises ValueError, which begins with `here`, if it shows none.

    Photos are remembered by content, so that a new name of a person encodes no photo again. The
    face model's patcher keeps the memory, which goes with it.
    """
    memory = face_model.patcher.attachments.setdefault(MEMORY, OrderedDict())
    key = hash_photo(file)
    if key not in memory:
        image = load_photo(file)
        size = (image.shape[1], image.shape[0])
        faces = find_faces(face_model.detector, image, f"{here} ({size[0]}x{size[1]})")
        memory[key] = PhotoFaces(size, tuple(faces), {})
        if len(memory) > MOST_REMEMBERED:
            memory.popitem(last=False)
    memory.move_to_end(key)
    return memory[key]


def encode_photo_face(face_model: FaceModel, file: str, found: PhotoFaces, index: int) -> None:
    """Encode one of the faces that were found in a photo, unless it was encoded before."""
    if index not in found.encoded:
        crop = crop_face(face_model.detector, load_photo(file), 1, found.faces[index])
        found.encoded[index] = EncodedFace(crop, encode_crops(face_model, [crop.crop])[0])
