"""Region Gate: each person's ID tokens act in that person's region of the image only."""

from collections.abc import Callable
from typing import Any

import comfy.model_patcher
import comfy.patcher_extension
from comfy.ldm.modules.attention import optimized_attention
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.canvas import Hint
from ..idpatch_core.region_gate import TOKENS, RegionGate, attend, find_layouts
from . import sockets
from .schema import Schema

KEY = "idpatch_region_gate"
# SDXL's UNet has 9 input and 9 output blocks, SD 1.5's 12; a name without a block does nothing.
BLOCKS = [(side, number) for side in ("input", "output") for number in range(12)] + [("middle", 0)]

Replacement = Callable[[Tensor, Tensor, Tensor, dict[str, Any]], Tensor]


def gate_attention(
    model: comfy.model_patcher.ModelPatcher, gate: RegionGate
) -> comfy.model_patcher.ModelPatcher:
    """Return a clone of the model whose cross-attention is gated.

    Replacements of the cross-attention that the model has already are kept: what the gate changes
    is added to their result.
    """
    model = model.clone()
    options = model.model_options["transformer_options"]
    present = dict(options.get("patches_replace", {}).get("attn2", {}))
    for block in {*BLOCKS, *present}:
        model.set_model_attn2_replace(_replace(gate, present.get(block)), *block)
    wrappers = comfy.patcher_extension.WrappersMP
    model.add_wrapper_with_key(wrappers.CALC_COND_BATCH, KEY, _label_entries(gate))
    model.add_wrapper_with_key(wrappers.OUTER_SAMPLE, KEY, _forget_after(gate))
    return model


def _replace(gate: RegionGate, present: Replacement | None) -> Replacement:
    def attention(q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
        bias = _find_bias(gate, q, k, options)
        if bias is None:
            return present(q, k, v, options) if present else _plain(q, k, v, options)
        gated = attend(q, k, v, options["n_heads"], bias)
        if present is None:
            return gated
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


def _find_bias(gate: RegionGate, q: Tensor, k: Tensor, options: dict[str, Any]) -> Tensor | None:
    entries = options.get(KEY)
    if not entries:
        return None
    layouts, lengths = find_layouts(entries, options["uuids"])
    rows, columns = options["activations_shape"][-2:]
    if rows * columns != q.shape[1]:
        raise ValueError(
            f"Region Gate: a layer attends from {q.shape[1]} cells, expected {columns}x{rows}. "
            "Something between the Region Gate and the sampler changes the number of cells (token "
            "merging, for example): leave it out."
        )
    bias = gate.bias(layouts, lengths, k.shape[1], rows, columns, q)
    return None if bias is None else bias.repeat_interleave(len(q) // len(layouts), dim=0)


def _label_entries(gate: RegionGate) -> Callable[..., Any]:
    """Tell the attention layers which entry of the conditioning has which ID tokens."""

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
                if layout is not None and layout.people != len(gate.figures):
                    raise ValueError(
                        f"Region Gate: id_hint places {len(gate.figures)} people, the conditioning "
                        f"has the ID tokens of {layout.people}. Connect the hint of those people."
                    )
                entries[entry["uuid"]] = layout, entry["model_conds"]["c_crossattn"].cond.shape[1]
        options = {**model_options.get("transformer_options", {}), KEY: entries}
        return executor(
            model, conds, x_in, timestep, {**model_options, "transformer_options": options}
        )

    return calc_cond_batch


def _forget_after(gate: RegionGate) -> Callable[..., Any]:
    def outer_sample(executor: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return executor(*args, **kwargs)
        finally:
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
