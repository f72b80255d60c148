"""Apply ID-Patch ControlNet: gives the condition image to the ControlNet."""

from collections.abc import Callable

import comfy.cldm.cldm
import comfy.controlnet
import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.canvas import Hint
from ..idpatch_core.injection import Conditioning
from . import sockets
from .schema import Schema

Preprocess = Callable[[Tensor], Tensor]

# Marks an entry that an ID-Patch ControlNet acts on, with the parts of the noise schedule.
CONTROLLED = "idpatch_control"

GUIDE_PATCHES_TIP = (
    "Hide the patches from the negative branch, so that cfg also strengthens who appears where. "
    "The reference shows them to both branches."
)


def check_control_net(control_net: object, text_width: int, text_name: str = "positive") -> None:
    """Raise a ValueError unless this is an SDXL ControlNet for text of `text_width`.

    `text_name` is the input of that text.
    """
    network = getattr(control_net, "control_model", None)
    if not isinstance(network, comfy.cldm.cldm.ControlNet):
        kind = type(control_net if network is None else network).__name__
        raise ValueError(
            f"control_net: expected an SDXL ControlNet, got {kind}. "
            "Load the ControlNet of ID-Patch (ControlNetModel of ByteDance/ID-Patch)."
        )
    if getattr(network, "task_embedding", None) is not None:
        raise ValueError(
            "control_net: it is a ControlNet Union, which does not read ID patches. Load the "
            "ControlNet of ID-Patch (id-patch-controlnet.safetensors)."
        )
    widths = {
        weight.shape[1]
        for name, weight in network.named_parameters()
        if name.endswith("attn2.to_k.weight")
    }
    if widths and widths != {text_width}:
        raise ValueError(
            f"control_net: it reads text tokens {max(widths)} wide, those of {text_name} are "
            f"{text_width} wide. SDXL's are 2048 wide, SD 1.5's 768. Load the ControlNet of "
            "ID-Patch."
        )
    outputs = [*getattr(network, "zero_convs", ()), getattr(network, "middle_block_out", None)]
    if outputs[-1] is not None and all(map(_is_zero, outputs)):
        raise ValueError(
            "control_net: it is untrained: all its outputs are zero. Load the ControlNet of "
            "ID-Patch (id-patch-controlnet.safetensors)."
        )


def _is_zero(output: torch.nn.Module) -> bool:
    # Weights on the meta device have no values, and newer cores may load them later.
    weights = [weight for weight in output.parameters() if not weight.is_meta]
    return bool(weights) and not any(weight.any() for weight in weights)


def apply_control_net(
    positive: Conditioning,
    negative: Conditioning,
    control_net: comfy.controlnet.ControlNet,
    id_hint: Hint,
    strength: float,
    start_percent: float,
    end_percent: float,
    guide_patches: bool = False,
) -> tuple[Conditioning, Conditioning]:
    """Chain the ControlNet to each entry of both branches; at strength 0 do nothing.

    Entries with the same previous ControlNet and the same condition image share one copy, so that
    ComfyUI runs both branches as one batch. With `guide_patches` the negative branch gets the
    image without patches. Raises ValueError if one acts on an entry already at the same time.
    """
    if strength == 0:
        return positive, negative
    part = start_percent, end_percent
    check_uncontrolled("positive", positive, part)
    check_uncontrolled("negative", negative, part)
    copies: dict[tuple[object, bool], comfy.controlnet.ControlNet] = {}

    def chained(previous: object, with_patches: bool) -> comfy.controlnet.ControlNet:
        if (previous, with_patches) not in copies:
            image = id_hint.image if with_patches else id_hint.base
            copy = control_net.copy().set_cond_hint(image, strength, part)
            # An internal of ComfyUI: without it only the check of the size is lost.
            preprocess = getattr(copy, "preprocess_image", _keep)
            copy.preprocess_image = _refuse_resized(id_hint, preprocess)
            copy.set_previous_controlnet(previous)
            copies[previous, with_patches] = copy
        return copies[previous, with_patches]

    def apply(conditioning: Conditioning, with_patches: bool) -> Conditioning:
        return [
            [
                text,
                {
                    **options,
                    "control": chained(options.get("control"), with_patches),
                    "control_apply_to_uncond": False,
                    CONTROLLED: (*options.get(CONTROLLED, ()), part),
                },
            ]
            for text, options in conditioning
        ]

    return apply(positive, True), apply(negative, not guide_patches)


def check_uncontrolled(name: str, conditioning: Conditioning, part: tuple[float, float]) -> None:
    """Raise a ValueError if an ID-Patch ControlNet acts in this part of the schedule already."""
    for _, options in conditioning:
        for start, end in options.get(CONTROLLED, ()):
            if max(start, part[0]) < min(end, part[1]):
                raise ValueError(
                    f"{name}: an ID-Patch ControlNet acts on it already, from {start:g} to {end:g} "
                    "of the noise schedule, and two at a time add up. Connect the conditioning "
                    "from before Apply ID-Patch ControlNet."
                )


def _keep(image: Tensor) -> Tensor:
    return image


def _refuse_resized(id_hint: Hint, preprocess: Preprocess) -> Preprocess:
    """Stop the sampler if ComfyUI has resized the hint, which destroys the patches."""
    width, height = id_hint.width, id_hint.height

    def check(image: Tensor) -> Tensor:
        if tuple(image.shape[-2:]) != (height, width):
            raise ValueError(
                f"id_hint: it is {width}x{height}, but the latent being sampled is for "
                f"{image.shape[-1]}x{image.shape[-2]} pixels, and patches cannot be resized. Give "
                "the latent and the Patch Placer the same size. Where the conditioning has areas, "
                "use Conditioning (Set Mask) with set_cond_area 'default' instead, not 'mask "
                "bounds'."
            )
        return preprocess(image)

    return check


class IDPatchApplyControlNet(sockets.Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchApplyControlNet",
            display_name="Apply ID-Patch ControlNet",
            category=sockets.CATEGORY,
            search_aliases=["IDPatch", "controlnet", "group photo"],
            advanced=("start_percent", "end_percent", "guide_patches"),
            description="Applies the ControlNet to the condition image, without clamping it.",
            inputs=[
                io.Conditioning.Input("positive", tooltip="What to show, with or without tokens."),
                io.Conditioning.Input("negative", tooltip="What to avoid, with or without tokens."),
                io.ControlNet.Input("control_net", tooltip="The SDXL ControlNet of ID-Patch."),
                sockets.Hint.Input(
                    "id_hint",
                    tooltip="The condition image, from the Patch Placer. The latent must have "
                    "exactly its size: ComfyUI would otherwise resize it, which destroys the "
                    "patches.",
                ),
                io.Float.Input(
                    "strength",
                    default=0.8,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    tooltip="How strongly the ControlNet acts; the reference uses 0.8.",
                ),
                io.Float.Input(
                    "start_percent",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="The share of the noise schedule after which the ControlNet starts.",
                ),
                io.Float.Input(
                    "end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="The share of the noise schedule after which the ControlNet stops.",
                ),
                io.Boolean.Input(
                    "guide_patches", default=False, optional=True, tooltip=GUIDE_PATCHES_TIP
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    display_name="positive",
                    tooltip="The positive text with the ControlNet.",
                ),
                io.Conditioning.Output(
                    display_name="negative",
                    tooltip="The negative text with the ControlNet.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        positive: Conditioning,
        negative: Conditioning,
        control_net: comfy.controlnet.ControlNet,
        id_hint: Hint,
        strength: float,
        start_percent: float,
        end_percent: float,
        guide_patches: bool = False,
    ) -> io.NodeOutput:
        for name, conditioning in (("positive", positive), ("negative", negative)):
            for text, _ in conditioning:
                check_control_net(control_net, text.shape[-1], name)
        return io.NodeOutput(
            *apply_control_net(
                positive,
                negative,
                control_net,
                id_hint,
                strength,
                start_percent,
                end_percent,
                guide_patches,
            )
        )
