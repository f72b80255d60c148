"""ID Token Injector: joins the ID tokens to the text, for any sampler."""

import logging
from collections.abc import Iterable

from comfy_api.v0_0_2 import io

from ..idpatch_core.canvas import Hint
from ..idpatch_core.identity import check_not_empty
from ..idpatch_core.injection import (
    MAX_TOKEN_STRENGTH,
    Conditioning,
    check_ranges,
    inject_both,
    injection_percent,
    split_at,
    warn_of_lengths,
)
from ..idpatch_core.projection import IDPatches, keep_placed, tag_tokens
from . import sockets
from .schema import Schema

ID_PATCHES_TIP = "The people, from the ID Patch Builder."
INJECTION_RATIO_TIP = (
    "The share of the noise schedule, counted from its end, in which the ID tokens are seen: 0.8 "
    "shows text alone for the first fifth. 1 shows the tokens always, 0 never."
)
TOKEN_STRENGTH_TIP = (
    "How strongly the ID tokens act; multiplies each person's token_strength of the Face Encoder. "
    "1 is as trained, 0 leaves the people out of the text."
)


def show_warnings(warnings: Iterable[str]) -> dict[str, list[str]]:
    """Log the warnings, and return them for the node to show; empty ones are left out.

    Without a warning an empty list removes those of the run before.
    """
    kept = [warning for warning in warnings if warning]
    for warning in kept:
        logging.warning("[ID-Patch] %s", warning)
    return {"idpatch_warnings": kept}


class IDPatchTokenInjector(sockets.Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchTokenInjector",
            display_name="ID Token Injector",
            category=sockets.CATEGORY,
            search_aliases=["id tokens", "inject identity", "IDPatch"],
            advanced=("token_strength",),
            description="Appends the ID tokens to the text, from a point of the noise schedule on.",
            inputs=[
                io.Conditioning.Input("positive", tooltip="What to show, encoded by SDXL's CLIP."),
                io.Conditioning.Input("negative", tooltip="What to avoid, encoded by SDXL's CLIP."),
                sockets.Patches.Input("id_patches", tooltip=ID_PATCHES_TIP),
                io.Float.Input(
                    "injection_ratio",
                    default=0.8,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip=INJECTION_RATIO_TIP,
                ),
                io.Float.Input(
                    "token_strength",
                    default=1.0,
                    min=0.0,
                    max=MAX_TOKEN_STRENGTH,
                    step=0.01,
                    tooltip=TOKEN_STRENGTH_TIP,
                ),
                sockets.Hint.Input(
                    "id_hint",
                    optional=True,
                    tooltip="The people's points, from the Patch Placer: people who were taken off "
                    "the canvas get no tokens. ID-Patch models that tag the tokens with points "
                    "need it, too.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    display_name="positive",
                    tooltip="The text, and from the boundary on each person's ID tokens.",
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
        token_strength: float = 1.0,
        id_hint: Hint | None = None,
    ) -> io.NodeOutput:
        warnings = []
        if id_patches.location is not None and id_hint is None:
            raise ValueError(
                "id_hint: this ID-Patch model tags each person's tokens with their point. "
                "Connect the Patch Placer's id_hint to the ID Token Injector as well."
            )
        if id_hint is not None:
            warnings.append(id_hint.check_names(id_patches.names, "id_patches"))
            id_patches = tag_tokens(id_patches, id_hint.points, id_hint.width, id_hint.height)
            check_not_empty("id_patches", id_patches.people)
            id_patches = keep_placed(id_patches, id_hint.points)
            if not id_patches.people:
                return io.NodeOutput(positive, negative, ui=show_warnings(warnings))
        percent = injection_percent(injection_ratio)
        if 0 < percent < 1:
            check_ranges("positive", positive)
            check_ranges("negative", negative)
        both = inject_both(positive, negative, id_patches, token_strength, split_at(percent))
        warnings.append(warn_of_lengths(*both))
        return io.NodeOutput(*both, ui=show_warnings(warnings))
