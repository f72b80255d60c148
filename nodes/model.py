"""Load ID-Patch Model and ID Patch Builder: from identities to ID patches and ID tokens."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import comfy.model_patcher
import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.checkpoint import is_face_sized, read_id_patch
from ..idpatch_core.encode import warn_of_same_face
from ..idpatch_core.identity import Identity, check_not_empty
from ..idpatch_core.location import Location, build_location
from ..idpatch_core.projection import IDPatches, build_projection, project
from ..idpatch_core.weights import WEIGHT_DTYPES
from . import sockets
from .conditioning import show_warnings
from .folders import ID_PATCH, find_file, fingerprint_file, list_files, missing_file
from .model_management import manage, operations, run_network
from .schema import Schema

FILE_DTYPE = "default"  # the weights stay in the file's dtype
UNIT_LENGTH_TOLERANCE = 1e-3
LARGEST = torch.finfo(torch.float16).max  # ComfyUI runs SDXL in half precision


@sockets.carried_by(
    sockets.IDPatchModel, "an ID-Patch model", "Connect the one of Load ID-Patch Model."
)
class IDPatchModel(NamedTuple):
    """The two projections under ComfyUI's management.

    `embedding_dim` is the length of the embeddings that they take; `location` tags ID tokens, in
    models that were trained with it; `face_sized` models expect patches as large as the faces.
    """

    file: str
    patch_proj: comfy.model_patcher.ModelPatcher
    prompt_proj: comfy.model_patcher.ModelPatcher
    embedding_dim: int
    location: Location | None
    face_sized: bool


def load_id_patch(path: Path, dtype: torch.dtype | None = None) -> IDPatchModel:
    """Load both projections; `dtype` is that of the weights in memory, the file's by default."""
    # Outside inference mode, so that `manage` need not copy the weights once more.
    with torch.inference_mode(False):
        patch_state, prompt_state, metadata = read_id_patch(path, dtype)
        patch_proj = build_projection(patch_state, operations)
        prompt_proj = build_projection(prompt_state, operations)
        location = build_location(prompt_state)
    return IDPatchModel(
        path.name,
        manage(patch_proj),
        manage(prompt_proj),
        patch_proj.size.embedding_dim,
        location,
        is_face_sized(metadata),
    )


def stack_embeddings(identities: list[Identity], expected: int) -> Tensor:
    """Return the people's embeddings (F, expected). Raises ValueError that names the person."""
    check_not_empty("identities", identities)
    for number, identity in enumerate(identities, 1):
        person = f"identities: person {number} ({identity.name})"
        embedding = identity.embedding
        if tuple(embedding.shape) != (expected,):
            raise ValueError(
                f"{person} has an embedding of shape {tuple(embedding.shape)}, this ID-Patch model "
                f"takes {expected} numbers. Encode the face with the network that the model was "
                "trained with (the release: ArcFace IR-SE50 of facexlib)."
            )
        if not torch.isfinite(embedding).all():
            raise ValueError(
                f"{person} has an embedding that contains NaN or infinity. Encode the face again."
            )
        length = float(embedding.float().norm())
        if abs(length - 1) > UNIT_LENGTH_TOLERANCE:
            raise ValueError(
                f"{person} has an embedding of length {length:.4g}, expected 1. "
                "Normalise it to unit length."
            )
    return torch.stack([identity.embedding.to("cpu", torch.float32) for identity in identities])


def check_id_patches(id_patches: IDPatches, file: str) -> None:
    """Raise a ValueError if a model's patches or tokens are values that only give black images.

    A single absurd weight suffices, also a finite one.
    """
    for index, name in enumerate(id_patches.names):
        for what, values in (
            ("patches", id_patches.patches),
            ("tokens", id_patches.tokens),
            ("zero-vector tokens", id_patches.zero_tokens),
        ):
            _check_size(f"{what} for {name}", values[index], file)
    if id_patches.location is not None:
        for weight in id_patches.location.parameters():
            _check_size("location tags", weight, file)


def _check_size(what: str, values: Tensor, file: str) -> None:
    largest = float(values.abs().max())
    if not largest <= LARGEST:  # also NaN
        raise ValueError(
            f"idpatch_model: {file} gives {what} with values of {largest:.3g}, expected at most "
            f"{LARGEST:g}. The file is damaged: download it again."
        )


def projector(patcher: comfy.model_patcher.ModelPatcher) -> Callable[[Tensor], Tensor]:
    """Return a function that calls a projection under ComfyUI's management."""
    return lambda x: run_network(patcher, lambda network, x: network(x), x)


class IDPatchLoadModel(sockets.Node):
    FILE_INPUTS = ("model_name",)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchLoadModel",
            display_name="Load ID-Patch Model",
            category=sockets.CATEGORY,
            search_aliases=["id-patch loader", "IDPatch", "personalization"],
            advanced=("weight_dtype",),
            description="Loads the projections from embeddings to ID patches and ID tokens.",
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=list_files(ID_PATCH),
                    tooltip="The released id-patch.bin or a .safetensors file, in models/idpatch. "
                    f"The released file is at {ID_PATCH.source}.",
                ),
                io.Combo.Input(
                    "weight_dtype",
                    options=[FILE_DTYPE, *WEIGHT_DTYPES],
                    default=FILE_DTYPE,
                    optional=True,
                    tooltip="The dtype of the weights in memory. fp16 and bf16 need half as much "
                    "memory as fp32. The computation is always in float32.",
                ),
            ],
            outputs=[
                sockets.IDPatchModel.Output(
                    display_name="idpatch_model", tooltip="The model, for the ID Patch Builder."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, model_name: str | None = None) -> bool | str:
        return model_name is None or missing_file(ID_PATCH, model_name) or True

    @classmethod
    def fingerprint_inputs(cls, model_name: str | None, weight_dtype: str = FILE_DTYPE) -> str:
        fingerprint = fingerprint_file(ID_PATCH.name, model_name)
        return fingerprint and f"{fingerprint} {weight_dtype}"

    @classmethod
    def execute(cls, model_name: str, weight_dtype: str = FILE_DTYPE) -> io.NodeOutput:
        path = find_file(ID_PATCH, "model_name", model_name)
        try:
            return io.NodeOutput(load_id_patch(path, WEIGHT_DTYPES.get(weight_dtype)))
        except ValueError as error:
            raise ValueError(f"model_name: {error}") from error


class IDPatchBuilder(sockets.Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchBuilder",
            display_name="ID Patch Builder",
            category=sockets.CATEGORY,
            search_aliases=["id tokens", "IDPatch", "face to patch"],
            description="Computes the ID patch and the ID tokens of each person.",
            inputs=[
                sockets.IDPatchModel.Input(
                    "idpatch_model", tooltip="The projections, from Load ID-Patch Model."
                ),
                sockets.Identities.Input(
                    "identities", tooltip="The people, from the Face Encoder. Their order is kept."
                ),
            ],
            outputs=[
                sockets.Patches.Output(
                    display_name="id_patches",
                    tooltip="The ID patches and ID tokens of all people, for the Patch Placer, the "
                    "ID Token Injector and the ID-Patch Sampler.",
                )
            ],
        )

    @classmethod
    def execute(cls, idpatch_model: IDPatchModel, identities: list[Identity]) -> io.NodeOutput:
        embeddings = stack_embeddings(identities, idpatch_model.embedding_dim)
        patches, tokens, zero_tokens = project(
            projector(idpatch_model.patch_proj), projector(idpatch_model.prompt_proj), embeddings
        )
        id_patches = IDPatches(
            patches,
            tokens,
            zero_tokens,
            tuple(identities),
            idpatch_model.location,
            idpatch_model.face_sized,
        )
        check_id_patches(id_patches, idpatch_model.file)
        warnings = warn_of_same_face(identities, "identities")
        return io.NodeOutput(id_patches, ui=show_warnings(warnings))
