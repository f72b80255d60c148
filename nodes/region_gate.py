"""Region Gate: each person's ID tokens act in that person's region of the image only."""

from collections.abc import Callable
from typing import Any

import comfy.model_patcher
import comfy.patcher_extension
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.canvas import Hint
from ..idpatch_core.region_gate import TOKENS, Entry, RegionGate, attend
from . import sockets
from .schema import Schema

KEY = "idpatch_region_gate"
CAPTIONS_AT = "idpatch_captions_at"  # the index of the captions' first token in a layer's keys
# SDXL's UNet has 9 input and 9 output blocks, SD 1.5's 12; a name without a block does nothing.
BLOCKS = [(side, number) for side in ("input", "output") for number in range(12)] + [("middle", 0)]

Replacement = Callable[[Tensor, Tensor, Tensor, dict[str, Any]], Tensor]


def gate_attention(
    model: comfy.model_patcher.ModelPatcher, gate: RegionGate
) -> comfy.model_patcher.ModelPatcher:
    """Return a clone of the model whose cross-attention is gated.

    Replacements of the cross-attention that the model has already are kept: what the gate changes
    is added to their result. Raises a ValueError if the model has a gate already.
    """
    wrappers = comfy.patcher_extension.WrappersMP
    if model.get_wrappers(wrappers.CALC_COND_BATCH, KEY):
        raise ValueError(
            "model: it has a region gate already. Use one Region Gate or Describe People, which "
            "has a gate of its own, for a model."
        )
    model = model.clone()
    options = model.model_options["transformer_options"]
    present = dict(options.get("patches_replace", {}).get("attn2", {}))
    for block in {*BLOCKS, *present}:
        model.set_model_attn2_replace(_replace(gate, present.get(block)), *block)
    if gate.captions:
        model.set_model_attn2_patch(_append_captions(gate))
    described: set[Any] = set()  # the ids of the entries that see the captions
    model.add_wrapper_with_key(wrappers.CALC_COND_BATCH, KEY, _label_entries(gate, described))
    model.add_wrapper_with_key(wrappers.OUTER_SAMPLE, KEY, _find_described(gate, described))
    return model


def _append_captions(gate: RegionGate) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    def attn2_patch(
        n: Tensor, context: Tensor, value: Tensor, options: dict[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        if not any(entry.captions for entry in _find_entries(options)):
            return n, context, value
        tokens = gate.caption_tokens(context)
        if tokens.shape[-1] != context.shape[-1]:
            raise ValueError(
                f"clip: its text tokens are {tokens.shape[-1]} wide, those of the prompt "
                f"{context.shape[-1]}. Connect the CLIP that encodes the prompt."
            )
        options[CAPTIONS_AT] = context.shape[1]
        context, value = (
            torch.cat([x, tokens.to(x).expand(len(x), -1, -1)], dim=1) for x in (context, value)
        )
        return n, context, value

    return attn2_patch


def _replace(gate: RegionGate, present: Replacement | None) -> Replacement:
    def attention(q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
        bias = _find_bias(gate, q, k, options)
        if bias is None:
            return present(q, k, v, options) if present else _plain(q, k, v, options)
        gated = attend(q, k, v, options["n_heads"], bias)
        if present is None:
            return gated
        start = options.get(CAPTIONS_AT)
        if start is not None:
            end = start + len(gate.caption_tokens(k))
            k, v = (torch.cat([x[:, :start], x[:, end:]], dim=1) for x in (k, v))
        return present(q, k, v, options) + (gated - _plain(q, k, v, options))

    return attention


def _plain(q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
    """Attend as ComfyUI's own cross-attention layer does."""
    return optimized_attention(
        q,
        k,
        v,
        options["n_heads"],
        attn_precision=options.get("attn_precision"),
        transformer_options=options,
    )


def _find_entries(options: dict[str, Any]) -> list[Entry]:
    """Return what is known of the entries of a layer's batch, in order."""
    entries = options.get(KEY, {})
    return [entries.get(uuid, Entry()) for uuid in options.get("uuids", ())]


def _find_bias(gate: RegionGate, q: Tensor, k: Tensor, options: dict[str, Any]) -> Tensor | None:
    entries, captions_at = _find_entries(options), options.get(CAPTIONS_AT)
    if captions_at is None and not any(entry.layout for entry in entries):
        return None
    rows, columns = options["activations_shape"][-2:]
    if rows * columns != q.shape[1]:
        raise ValueError(
            f"Region Gate: a layer attends from {q.shape[1]} cells, expected {columns}x{rows}. "
            "Something between the Region Gate and the sampler changes the number of cells (token "
            "merging, for example): leave it out."
        )
    bias = gate.bias(entries, k.shape[1], rows, columns, q, captions_at)
    return None if bias is None else bias.repeat_interleave(len(q) // len(entries), dim=0)


def _label_entries(gate: RegionGate, described: set[Any]) -> Callable[..., Any]:
    """Tell the attention layers what they have to know of each entry of the conditioning."""

    def calc_cond_batch(
        executor: Callable[..., Any],
        model: Any,
        conds: list[list[dict[str, Any]] | None],
        x_in: Tensor,
        timestep: Tensor,
        model_options: dict[str, Any],
    ) -> Any:
        entries = {}
        for cond in conds:
            for entry in cond or []:
                layout = entry.get(TOKENS)
                if layout is not None:
                    gate.people_with_tokens(layout.people)  # or raise
                entries[entry["uuid"]] = Entry(
                    layout,
                    entry["model_conds"]["c_crossattn"].cond.shape[1],
                    _find_area(gate, entry, x_in),
                    entry["uuid"] in described,
                )
        options = {**model_options.get("transformer_options", {}), KEY: entries}
        return executor(
            model, conds, x_in, timestep, {**model_options, "transformer_options": options}
        )

    return calc_cond_batch


def _find_area(
    gate: RegionGate, entry: dict[str, Any], x_in: Tensor
) -> tuple[float, float, float, float] | None:
    """Return the left, top, width and height in pixels of an entry's area, if it has one.

    Source: `get_area_and_mult` of ComfyUI's samplers.py, which cuts areas at the latent's edge.
    """
    if "area" not in entry:
        return None
    rows, columns = x_in.shape[-2:]
    high, wide, top, left = entry["area"]
    x, y = gate.width / columns, gate.height / rows  # pixels of a cell
    return left * x, top * y, min(wide, columns - left) * x, min(high, rows - top) * y


def _find_described(gate: RegionGate, described: set[Any]) -> Callable[..., Any]:
    """Find the entries that see the captions, all but the negative ones, for the time of a run."""

    def outer_sample(executor: Any, *args: Any, **kwargs: Any) -> Any:
        if gate.captions:
            conds = getattr(executor.class_obj, "conds", {})
            described.update(
                entry["uuid"]
                for name, entries in conds.items()
                for entry in entries
                if "negative" not in name
            )
        try:
            return executor(*args, **kwargs)
        finally:
            described.clear()
            gate.forget()

    return outer_sample


class IDPatchRegionGate(sockets.Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchRegionGate",
            display_name="Region Gate",
            category=sockets.CATEGORY,
            search_aliases=["IDPatch", "group photo", "regional", "mixed faces"],
            description="Limits each person's ID tokens to the part of the image where the person "
            "is, so that faces do not mix.",
            inputs=[
                io.Model.Input("model", tooltip="The SDXL model, before the sampler."),
                sockets.Hint.Input("id_hint", tooltip="The hint of the Patch Placer."),
                io.Float.Input(
                    "outside",
                    default=0.01,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    tooltip="How much a person's ID tokens count outside the person's region. 0 "
                    "hides them there, 1 is the same as no gate.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model", tooltip="The model with the gate, for a sampler."
                )
            ],
        )

    @classmethod
    def execute(
        cls, model: comfy.model_patcher.ModelPatcher, id_hint: Hint, outside: float = 0.01
    ) -> io.NodeOutput:
        if outside >= 1:
            return io.NodeOutput(model)
        gate = RegionGate(id_hint.figures, id_hint.width, id_hint.height, outside)
        return io.NodeOutput(gate_attention(model, gate))
