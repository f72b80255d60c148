"""Reads and writes the weights of the two projections: the released file and our own format.

Released: `id-patch.bin`, a torch pickle `{"patch_proj": {...}, "prompt_proj": {...}}`. Ours: a
`.safetensors` with the prefixes `patch_proj.` and `prompt_proj.`; its metadata name the format,
its version and the architecture of both projections.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .projection import Projection, build_projection, patch_side
from .safetensors_file import replaced_when_complete, write_safetensors
from .weights import check_finite, describe_model, read_weights

ID_PATCH_FORMAT = "id-patch"
ID_PATCH_VERSION = 1
PATCH_SIZE, FACE = "patch_size", "face"  # metadata of models whose patches are as large as faces
PROJECTIONS = ("patch_proj", "prompt_proj")

State = dict[str, Tensor]


def read_id_patch(
    path: str | Path, dtype: torch.dtype | None = None
) -> tuple[State, State, dict[str, str]]:
    """Read a file in either format.

    Returns the state dicts of the patch and the token projection, and the metadata. The tensors
    are copies, so that the file may change while they are in use; `dtype` converts them. Raises
    ValueError, without running any code of the file, if the two projections cannot be built from
    it, or if a value is not finite.
    """
    path = Path(path)
    try:
        tensors, metadata = read_weights(path)
        _check_version(metadata)
        mapped = _split_projections(tensors)
        check_projections(*mapped)  # names and shapes, before any value is read
        patch_state, prompt_state = (
            _copy_finite(projection, state, dtype)
            for projection, state in zip(PROJECTIONS, mapped, strict=True)
        )
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    return patch_state, prompt_state, metadata


def is_face_sized(metadata: Mapping[str, str]) -> bool:
    """Return whether the model was trained with patches that are as large as the faces."""
    return metadata.get(PATCH_SIZE) == FACE


def write_id_patch(
    path: str | Path,
    patch_state: Mapping[str, Tensor],
    prompt_state: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write both projections: the released layout if the name ends in `.bin`, otherwise ours.

    `metadata` is kept in our format and dropped in the released one; `dtype` converts the weights.
    An existing file is replaced only when the new one is complete. Raises ValueError if the
    projections cannot be built from the states, or if a value does not fit in `dtype`.
    """
    path = Path(path)
    if path.suffix not in (".bin", ".safetensors"):
        raise ValueError(f"{path.name}: write to a name that ends in .safetensors or .bin")
    if not path.parent.is_dir():
        raise ValueError(f"{path.name}: there is no folder {path.parent}")
    architectures = check_projections(patch_state, prompt_state)
    states: dict[str, State] = {}
    for projection, state in zip(PROJECTIONS, (patch_state, prompt_state), strict=True):
        states[projection] = _copy_finite(projection, state, dtype)

    with replaced_when_complete(path) as temporary:
        if path.suffix == ".bin":
            torch.save(states, temporary)
            return
        tensors = {
            f"{projection}.{name}": tensor
            for projection, state in states.items()
            for name, tensor in state.items()
        }
        own = {"format": ID_PATCH_FORMAT, "format_version": str(ID_PATCH_VERSION)}
        write_safetensors(tensors, temporary, {**(metadata or {}), **own, **architectures})


def check_projections(
    patch_state: Mapping[str, Tensor], prompt_state: Mapping[str, Tensor]
) -> dict[str, str]:
    """Return the architecture of both projections: `{"patch_proj": "Resampler", …}`.

    Raises ValueError unless they are two projections of embeddings of the same length, the first
    of them to a patch.
    """
    built: dict[str, Projection] = {}
    for projection, state in zip(PROJECTIONS, (patch_state, prompt_state), strict=True):
        try:
            meta = {name: torch.empty_like(t, device="meta") for name, t in state.items()}
            built[projection] = build_projection(meta)
            if projection == "patch_proj":
                patch_side(built[projection].size)
        except ValueError as error:
            raise ValueError(f"{projection}: {error}.") from error
    patch, prompt = (built[projection].size.embedding_dim for projection in PROJECTIONS)
    if patch != prompt:
        raise ValueError(
            f"patch_proj takes embeddings of {patch} numbers, prompt_proj of {prompt}. "
            "The two projections are not of the same model."
        )
    return {projection: type(network).__name__ for projection, network in built.items()}


def _copy_finite(projection: str, state: Mapping[str, Tensor], dtype: torch.dtype | None) -> State:
    copy = {
        name: tensor.detach().to("cpu", dtype or tensor.dtype, copy=True).contiguous()
        for name, tensor in state.items()
    }
    try:
        check_finite(copy)
    except ValueError as error:
        raise ValueError(f"{projection}.{error}") from None
    return copy


def _check_version(metadata: Mapping[str, str]) -> None:
    version = metadata.get("format_version", str(ID_PATCH_VERSION))
    if metadata.get("format") == ID_PATCH_FORMAT and version != str(ID_PATCH_VERSION):
        raise ValueError(
            f"it has format version {version}, this pack reads version {ID_PATCH_VERSION}. "
            "Update ComfyUI-ID-Patch."
        )


def _split_projections(tensors: Mapping[str, Any]) -> tuple[State, State]:
    states: dict[str, State] = {projection: {} for projection in PROJECTIONS}
    others = []
    for name, tensor in tensors.items():
        projection, _, key = name.partition(".")
        if projection in states and key and isinstance(tensor, Tensor):
            states[projection][key] = tensor.detach()
        else:
            others.append(name)
    missing = [projection for projection in PROJECTIONS if not states[projection]]
    if len(missing) == 2:
        raise ValueError(f"{describe_model(others)} Expected id-patch.bin of ByteDance/ID-Patch.")
    if missing:
        raise ValueError(
            f"it lacks {missing[0]}; an ID-Patch model has {' and '.join(PROJECTIONS)}."
        )
    if others:
        raise ValueError(f"it holds tensors that no ID-Patch model has: {', '.join(others[:3])}.")
    return states["patch_proj"], states["prompt_proj"]
