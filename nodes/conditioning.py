"""ID Token Injector and Apply ID-Patch ControlNet: the composable route to any sampler."""

import logging
from collections.abc import Callable

import comfy.cldm.cldm
import comfy.controlnet
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.canvas import Hint
from ..idpatch_core.injection import (
    INJECTED,
    Conditioning,
    Split,
    inject,
    injection_percent,
    split_by_percent,
    strengthen,
)
from ..idpatch_core.projection import IDPatches, at_places
from . import sockets

Preprocess = Callable[[Tensor], Tensor]

INJECTION_RATIO_TIP = (
    "The share of the noise schedule, counted from its end, in which the ID tokens are seen: 0.8 "
    "shows text alone for the first fifth. 1 shows the tokens always, 0 never."
)
GUIDE_PATCHES_TIP = (
    "Hide the patches from the negative branch, so that cfg also strengthens who stands where. The "
    "reference shows them to both branches."
)
STRENGTHS_TIP = (
    "How strongly the ID tokens act: one number for everybody, or one for each person in their "
    "order, separated by commas. 1 is as trained, 0 shows nobody."
)


def parse_strengths(text: str, names: tuple[str, ...]) -> list[float]:
    """Read one strength for everybody or one for each person."""
    parts = [part.strip() for part in text.split(",")]
    try:
        strengths = [float(part) for part in parts]
    except ValueError:
        raise ValueError(
            f"strengths: expected numbers separated by commas, got {text!r}. "
            "Write 1.0, or one number for each person."
        ) from None
    if not all(0 <= strength <= 10 for strength in strengths):
        raise ValueError(f"strengths: each must be from 0 to 10, got {text!r}.")
    if len(strengths) == 1:
        return strengths * len(names)
    if len(strengths) != len(names):
        raise ValueError(
            f"strengths: got {len(strengths)} numbers for {len(names)} people "
            f"({', '.join(names)}). Give one for everybody or one for each."
        )
    return strengths


def check_people(id_patches: IDPatches, id_hint: Hint) -> None:
    """Raise a ValueError unless the hint places as many people; warn if they are others."""
    if len(id_patches.names) != len(id_hint.points):
        raise ValueError(
            f"id_hint: it places {len(id_hint.points)} people, id_patches holds "
            f"{len(id_patches.names)} ({', '.join(id_patches.names)}). "
            "Connect the same ID Patch Builder to the Patch Placer and to this node."
        )
    if id_patches.names != id_hint.names:
        logging.warning(
            "[ID-Patch] The hint was made for %s, the tokens are those of %s.",
            ", ".join(id_hint.names),
            ", ".join(id_patches.names),
        )


def inject_both(
    positive: Conditioning,
    negative: Conditioning,
    id_patches: IDPatches,
    strengths: str,
    split: Split,
) -> tuple[Conditioning, Conditioning]:
    """Give the positive branch the people's tokens and the negative as many zero-vector tokens."""
    if len(id_patches.names) == 0:
        raise ValueError("id_patches: there is nobody in it. Encode at least one person.")
    for name, conditioning in (("positive", positive), ("negative", negative)):
        _check_text(name, conditioning, id_patches.tokens)
    zero = id_patches.zero_tokens
    tokens = strengthen(id_patches.tokens, zero, parse_strengths(strengths, id_patches.names))
    return inject(positive, tokens, split), inject(negative, zero, split)


def _check_text(name: str, conditioning: Conditioning, tokens: Tensor) -> None:
    for text, options in conditioning:
        if text.shape[-1] != tokens.shape[-1]:
            raise ValueError(
                f"{name}: its text tokens are {text.shape[-1]} wide, the ID tokens "
                f"{tokens.shape[-1]}. ID-Patch works with SDXL: encode the text with the CLIP of "
                "an SDXL checkpoint."
            )
        if INJECTED in options:
            raise ValueError(
                f"{name}: it carries the ID tokens of {options[INJECTED]} people already. Connect "
                "the text conditioning from before the ID Token Injector."
            )


def check_control_net(control_net: object, text_width: int) -> None:
    """Raise a ValueError unless this is an SDXL ControlNet that can see the ID tokens."""
    network = getattr(control_net, "control_model", None)
    if not isinstance(network, comfy.cldm.cldm.ControlNet):
        kind = type(control_net if network is None else network).__name__
        raise ValueError(
            f"control_net: expected an SDXL ControlNet, got {kind}. "
            "Load the ControlNet of ID-Patch (ControlNetModel of ByteDance/ID-Patch)."
        )
    widths = {
        weight.shape[1]
        for name, weight in network.named_parameters()
        if name.endswith("attn2.to_k.weight")
    }
    if widths and widths != {text_width}:
        raise ValueError(
            f"control_net: it reads text tokens {max(widths)} wide, the conditioning's are "
            f"{text_width}. SDXL's are 2048 wide (SD 1.5: 768): load the ControlNet of ID-Patch."
        )


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
    """Chain the ControlNet to every entry of both branches.

    Entries with the same ControlNets before it and the same picture share one copy, so that
    ComfyUI runs both branches as one batch. With `guide_patches` the negative branch sees the
    picture without patches.
    """
    copies: dict[tuple[object, bool], comfy.controlnet.ControlNet] = {}

    def chained(previous: object, with_patches: bool) -> comfy.controlnet.ControlNet:
        if (previous, with_patches) not in copies:
            picture = id_hint.image if with_patches else id_hint.base
            copy = control_net.copy().set_cond_hint(picture, strength, (start_percent, end_percent))
            copy.preprocess_image = _refuse_resized(id_hint, copy.preprocess_image)
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
                },
            ]
            for text, options in conditioning
        ]

    return apply(positive, True), apply(negative, not guide_patches)


def _refuse_resized(id_hint: Hint, preprocess: Preprocess) -> Preprocess:
    """Stop the sampler where ComfyUI has resized the hint, which destroys the patches."""
    width, height = id_hint.width, id_hint.height

    def check(image: Tensor) -> Tensor:
        if tuple(image.shape[-2:]) != (height, width):
            raise ValueError(
                f"id_hint: it is {width}x{height}, but the latent being sampled is for "
                f"{image.shape[-1]}x{image.shape[-2]} pixels, and patches cannot be resized. Give "
                "the latent and the Patch Placer the same size; where the conditioning has areas, "
                "use masks instead."
            )
        return preprocess(image)

    return check


class IDPatchTokenInjector(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchTokenInjector",
            display_name="ID Token Injector",
            category=sockets.CATEGORY,
            description="Appends the ID tokens to the text from a share of the noise schedule on.",
            inputs=[
                io.Conditioning.Input("positive", tooltip="What to show, encoded by SDXL's CLIP."),
                io.Conditioning.Input("negative", tooltip="What to avoid, encoded by SDXL's CLIP."),
                sockets.Patches.Input("id_patches", tooltip="The people, of the ID Patch Builder."),
                io.Float.Input(
                    "injection_ratio",
                    default=0.8,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip=INJECTION_RATIO_TIP,
                ),
                io.String.Input("strengths", default="1.0", tooltip=STRENGTHS_TIP),
                sockets.Hint.Input(
                    "id_hint",
                    optional=True,
                    tooltip="The people's places, from the Patch Placer. Only ID-Patch models that "
                    "tag the tokens with places need it; the released one does not.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    display_name="positive",
                    tooltip="The text, and from the boundary on everybody's ID tokens.",
                ),
                io.Conditioning.Output(
                    display_name="negative",
                    tooltip="The text, and from the boundary on zero-vector tokens.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        positive: Conditioning,
        negative: Conditioning,
        id_patches: IDPatches,
        injection_ratio: float,
        strengths: str = "1.0",
        id_hint: Hint | None = None,
    ) -> io.NodeOutput:
        if id_patches.location is not None:
            if id_hint is None:
                raise ValueError(
                    "id_hint: this ID-Patch model tags everybody's tokens with their place. "
                    "Connect the Patch Placer's id_hint to the ID Token Injector as well."
                )
            check_people(id_patches, id_hint)
            id_patches = at_places(id_patches, id_hint.points, id_hint.width, id_hint.height)
        split = split_by_percent(injection_percent(injection_ratio))
        return io.NodeOutput(*inject_both(positive, negative, id_patches, strengths, split))


class IDPatchApplyControlNet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchApplyControlNet",
            display_name="Apply ID-Patch ControlNet",
            category=sockets.CATEGORY,
            description="Shows the condition image to both branches as it is, without clamping.",
            inputs=[
                io.Conditioning.Input("positive", tooltip="What to show, with or without tokens."),
                io.Conditioning.Input("negative", tooltip="What to avoid, likewise."),
                io.ControlNet.Input("control_net", tooltip="The SDXL ControlNet of ID-Patch."),
                sockets.Hint.Input(
                    "id_hint",
                    tooltip="The condition image of the Patch Placer. The latent must have exactly "
                    "its size: ComfyUI would resize it otherwise, which destroys the patches.",
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
                    tooltip="From which share of the noise schedule on the ControlNet acts.",
                ),
                io.Float.Input(
                    "end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="Up to which share of the noise schedule the ControlNet acts.",
                ),
                io.Boolean.Input(
                    "guide_patches", default=False, optional=True, tooltip=GUIDE_PATCHES_TIP
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    display_name="positive", tooltip="Positive with the ControlNet chained."
                ),
                io.Conditioning.Output(
                    display_name="negative", tooltip="Negative with the ControlNet chained."
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
        for conditioning in (positive, negative):
            for text, _ in conditioning:
                check_control_net(control_net, text.shape[-1])
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
