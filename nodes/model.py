"""Load ID-Patch Model and ID Patch Builder: from identities to patches and tokens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import comfy.model_patcher
import folder_paths
import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.checkpoint import PROJECTIONS, State, check_values, is_face_sized, read_id_patch
from ..idpatch_core.identity import Identity
from ..idpatch_core.projection import IDPatches, Projection, build_projection, project
from . import sockets
from .folders import ID_PATCH, find_file, list_files, missing_file
from .model_management import manage, operations, run

WEIGHT_DTYPES = {
    "default": None,
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}
UNIT_LENGTH_TOLERANCE = 1e-3


class IDPatchModel(NamedTuple):
    """The two projections under ComfyUI's management; `embedding_dim` is a face feature's width.

    `face_sized` models want patches as large as the faces.
    """

    file: str
    patch_proj: comfy.model_patcher.ModelPatcher
    prompt_proj: comfy.model_patcher.ModelPatcher
    embedding_dim: int
    face_sized: bool


def load_id_patch(path: Path, dtype: torch.dtype | None = None) -> IDPatchModel:
    """Load both projections; `dtype` is that of the weights in memory, by default the file's."""
    patch_state, prompt_state, metadata = read_id_patch(path)
    patch, prompt = (
        _build(half, state, dtype)
        for half, state in zip(PROJECTIONS, (patch_state, prompt_state), strict=True)
    )
    parts = manage(patch), manage(prompt)
    return IDPatchModel(path.name, *parts, patch.size.embedding_dim, is_face_sized(metadata))


def _build(half: str, state: State, dtype: torch.dtype | None) -> Projection:
    # Memory of their own, because the file may be overwritten while it is in use; and outside
    # inference mode, so that `manage` need not copy them once more.
    with torch.inference_mode(False):
        state = {
            name: tensor.to(dtype or tensor.dtype, copy=True) for name, tensor in state.items()
        }
        check_values(half, state)
        return build_projection(state, operations)


def stack_embeddings(identities: list[Identity], expected: int) -> Tensor:
    """Return the face features of all people (F, expected). Raises ValueError naming the person."""
    if not identities:
        raise ValueError("identities: there is nobody in it. Encode at least one person.")
    for number, identity in enumerate(identities, 1):
        person = f"identities: person {number} ({identity.name})"
        embedding = identity.embedding
        if tuple(embedding.shape) != (expected,):
            raise ValueError(
                f"{person} has a face feature of shape {tuple(embedding.shape)}, this ID-Patch "
                f"model takes {expected} numbers. Encode the face with the network that the model "
                "was trained with (the release: ArcFace IR-SE50 of facexlib)."
            )
        if not torch.isfinite(embedding).all():
            raise ValueError(
                f"{person} has a face feature that holds NaN or infinity. Encode the face again."
            )
        length = float(embedding.float().norm())
        if abs(length - 1) > UNIT_LENGTH_TOLERANCE:
            raise ValueError(
                f"{person} has a face feature of length {length:.4g}, expected 1. "
                "Divide it by its length."
            )
    return torch.stack([identity.embedding.to("cpu", torch.float32) for identity in identities])


def projector(patcher: comfy.model_patcher.ModelPatcher) -> Callable[[Tensor], Tensor]:
    return lambda x: run(patcher, lambda network, x: network(x), x)


def locator(patcher: comfy.model_patcher.ModelPatcher) -> Callable[[Tensor], Tensor] | None:
    """Return what tags tokens with places, if the model was trained with it."""
    if patcher.model.location is None:
        return None
    call: Any = lambda network, points: network.location(points)  # noqa: E731
    return lambda points: run(patcher, call, points)


class IDPatchLoadModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchLoadModel",
            display_name="Load ID-Patch Model",
            category=sockets.CATEGORY,
            description="Loads the projections that turn a face into an ID patch and ID tokens.",
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=list_files(ID_PATCH),
                    tooltip="The released id-patch.bin or a .safetensors file, in models/idpatch. "
                    f"The released one is at {ID_PATCH.source}.",
                ),
                io.Combo.Input(
                    "weight_dtype",
                    options=list(WEIGHT_DTYPES),
                    default="default",
                    optional=True,
                    tooltip="How the weights are kept in memory; fp16 and bf16 take half of fp32. "
                    "The computation is in float32 in any case.",
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
        message = model_name and missing_file(ID_PATCH, model_name)
        return message or True

    @classmethod
    def fingerprint_inputs(cls, model_name: str, weight_dtype: str = "default") -> str:
        path = folder_paths.get_full_path(ID_PATCH.name, model_name)
        stat = Path(path).stat() if path else None
        return f"{path} {stat.st_mtime_ns} {stat.st_size} {weight_dtype}" if stat else ""

    @classmethod
    def execute(cls, model_name: str, weight_dtype: str = "default") -> io.NodeOutput:
        path = find_file(ID_PATCH, "model_name", model_name)
        try:
            return io.NodeOutput(load_id_patch(path, WEIGHT_DTYPES[weight_dtype]))
        except ValueError as error:
            raise ValueError(f"model_name: {error}") from error


class IDPatchBuilder(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchBuilder",
            display_name="ID Patch Builder",
            category=sockets.CATEGORY,
            description="Makes the ID patch and the ID tokens of every person.",
            inputs=[
                sockets.IDPatchModel.Input(
                    "idpatch_model", tooltip="The projections, of Load ID-Patch Model."
                ),
                sockets.Identities.Input(
                    "identities", tooltip="The people, of the Face Encoder; their order is kept."
                ),
            ],
            outputs=[
                sockets.Patches.Output(
                    display_name="id_patches",
                    tooltip="Everybody's patch and tokens, for the Patch Placer, the ID Token "
                    "Injector and the ID-Patch Sampler.",
                )
            ],
        )

    @classmethod
    def execute(cls, idpatch_model: IDPatchModel, identities: list[Identity]) -> io.NodeOutput:
        embeddings = stack_embeddings(identities, idpatch_model.embedding_dim)
        patches, tokens, zero_tokens = project(
            projector(idpatch_model.patch_proj), projector(idpatch_model.prompt_proj), embeddings
        )
        location = locator(idpatch_model.prompt_proj)
        projected = patches, tokens, zero_tokens, tuple(identities), location
        return io.NodeOutput(IDPatches(*projected, idpatch_model.face_sized))
