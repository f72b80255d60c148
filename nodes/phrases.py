"""Describe People: a phrase for each person, which acts in that person's region only."""

from collections import OrderedDict
from itertools import compress
from typing import Any
from weakref import WeakKeyDictionary

import comfy.model_patcher
import comfy.sd
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.canvas import Hint
from ..idpatch_core.phrases import (
    Caption,
    complete_phrases,
    make_caption,
    read_phrases,
    warn_of_missing,
)
from ..idpatch_core.region_gate import RegionGate
from . import sockets
from .conditioning import show_warnings
from .region_gate import gate_attention
from .schema import Schema

MOST_CAPTIONS = 32  # for each CLIP, of 0.6 MB each

_encoded: WeakKeyDictionary[comfy.sd.CLIP, OrderedDict[Any, Tensor]] = WeakKeyDictionary()


def encode_caption(clip: comfy.sd.CLIP, caption: str) -> Tensor:
    """Return the tokens (N, C) of a caption, those of before if this CLIP has encoded it already.

    ComfyUI runs the node again when a name or the phrase of one person changes; the captions of the
    others stay as they are.
    """
    known = _encoded.setdefault(clip, OrderedDict())
    key = caption, clip.layer_idx, clip.patcher.patches_uuid
    if key not in known:
        encoded: Any = clip.encode_from_tokens(clip.tokenize(caption))  # (1, N, C)
        known[key] = encoded[0]
    known.move_to_end(key)
    if len(known) > MOST_CAPTIONS:
        known.popitem(last=False)
    return known[key]


class IDPatchPhrases(sockets.Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchPhrases",
            display_name="Describe People",
            category=sockets.CATEGORY,
            search_aliases=["IDPatch", "group photo", "regional prompt", "clothes", "expression"],
            description="Describes each person's clothes, expression, hair or age. Each phrase and "
            "each person's ID tokens act where the person is.",
            inputs=[
                io.Model.Input("model", tooltip="The SDXL model, before the sampler."),
                io.Clip.Input("clip", tooltip="The CLIP that encodes the prompt."),
                sockets.Hint.Input("id_hint", tooltip="The hint of the Patch Placer."),
                io.String.Input(
                    "phrases",
                    multiline=True,
                    dynamic_prompts=False,
                    tooltip='A line for each person, such as "Ada: red shirt, smiling". Or JSON: '
                    "an object of names and phrases, or a list in the order of the people. Whoever "
                    "has none here keeps their phrase of the People node. Without any the model "
                    "stays as it is.",
                ),
                io.String.Input(
                    "caption",
                    default="a photo of one person, {phrase}",
                    dynamic_prompts=False,
                    tooltip="The prompt for each person alone, in which {phrase} stands for the "
                    "person's phrase. It replaces the positive prompt where the person is, so say "
                    "here too what holds for the whole image, such as its style and background.",
                ),
                io.Float.Input(
                    "outside",
                    default=0.01,
                    min=0.0,
                    max=0.5,
                    step=0.01,
                    optional=True,
                    tooltip="How much a person's phrase and ID tokens count outside the person's "
                    "region, and the positive prompt inside. 0 hides them there.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model",
                    tooltip="The model with the phrases and a region gate, for a sampler.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model: comfy.model_patcher.ModelPatcher,
        clip: comfy.sd.CLIP,
        id_hint: Hint,
        phrases: str,
        caption: str,
        outside: float = 0.01,
    ) -> io.NodeOutput:
        placed = [point is not None for point in id_hint.points]
        own = [phrase * here for phrase, here in zip(id_hint.phrases, placed, strict=False)]
        given = complete_phrases(read_phrases(phrases, id_hint.names), own)
        warning = warn_of_missing(compress(given, placed), compress(id_hint.names, placed))
        if not any(given):
            return io.NodeOutput(model, ui=show_warnings([warning]))
        captions = [
            Caption(person, encode_caption(clip, make_caption(caption, phrase)))
            for person, phrase in enumerate(given)
            if phrase
        ]
        gate = RegionGate(
            id_hint.figures, id_hint.width, id_hint.height, outside, captions=captions
        )
        return io.NodeOutput(gate_attention(model, gate), ui=show_warnings([warning]))
