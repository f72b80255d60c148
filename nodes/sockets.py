"""The socket types that travel between the nodes, what each carries, and the check of inputs."""

import functools
import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple, TypeVar

import comfy.controlnet
import comfy.model_patcher
import comfy.sd
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.canvas import Hint as HintValue
from ..idpatch_core.describe import describe_value, escape_surrogates
from ..idpatch_core.identity import Identity
from ..idpatch_core.projection import IDPatches

FaceModel = io.Custom("IDPATCH_FACE_MODEL")  # nodes.faces.FaceModel
Identities = io.Custom("IDPATCH_IDENTITIES")  # list[idpatch_core.identity.Identity]
IDPatchModel = io.Custom("IDPATCH_MODEL")  # nodes.model.IDPatchModel
Patches = io.Custom("IDPATCH_PATCHES")  # idpatch_core.projection.IDPatches
Hint = io.Custom("IDPATCH_HINT")  # idpatch_core.canvas.Hint
Scorer = io.Custom("IDPATCH_SCORER")  # nodes.scorer.LoadedScorer
PoseKeypoint = io.Custom("POSE_KEYPOINT")  # frames of people, checked by read_pose_keypoint

CATEGORY = "ID-Patch"
Value = TypeVar("Value")


class Expected(NamedTuple):
    """What an input takes: in words, as a test of a value, and what to do otherwise."""

    words: str
    accepts: Callable[[Any], bool]
    advice: str


def has_fields(*fields: str) -> Callable[[Any], bool]:
    """Return a test for a NamedTuple of these fields.

    By its fields and not its class, of which there are two where the pack is loaded twice.
    """
    return lambda value: isinstance(value, tuple) and getattr(value, "_fields", None) == fields


def _is_image(value: Any) -> bool:
    return (
        isinstance(value, Tensor)
        and value.is_floating_point()
        and value.ndim == 4
        and value.shape[-1] in (1, 3, 4)
        and value.numel() > 0
    )


def _is_conditioning(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_entry, value))


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, list | tuple)
        and len(entry) == 2
        and isinstance(entry[0], Tensor)
        and isinstance(entry[1], dict)
    )


def _is_latent(value: Any) -> bool:
    return isinstance(value, dict) and hasattr(value.get("samples"), "shape")


def _is_finite(value: Any) -> bool:
    # A whole number too large for a float is finite, and refused for its range.
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and (isinstance(value, Integral) or math.isfinite(value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value == escape_surrogates(value)


_is_identity = has_fields(*Identity._fields)

# By the name of the socket type.
EXPECTED = {
    "STRING": Expected("text", _is_text, "Give it as text."),
    "COMBO": Expected("text", _is_text, "Choose one of the list."),
    "INT": Expected(
        "a whole number",
        lambda value: isinstance(value, Integral) and not isinstance(value, bool),
        "Enter one, or connect an INT.",
    ),
    "FLOAT": Expected(
        "a finite number",
        _is_finite,
        "Enter one, or connect a FLOAT.",
    ),
    "BOOLEAN": Expected(
        "true or false", lambda value: isinstance(value, bool), "Set it, or connect a BOOLEAN."
    ),
    "IMAGE": Expected(
        "images (N, H, W, 3) of floats", _is_image, "Connect an IMAGE, such as that of Load Image."
    ),
    "LATENT": Expected(
        "a latent", _is_latent, "Connect a LATENT, such as that of Empty Latent Image."
    ),
    "CONDITIONING": Expected(
        "conditioning",
        _is_conditioning,
        "Connect a CONDITIONING, such as that of CLIP Text Encode.",
    ),
    "MODEL": Expected(
        "a diffusion model",
        lambda value: isinstance(value, comfy.model_patcher.ModelPatcher),
        "Connect a MODEL, such as that of Load Checkpoint.",
    ),
    "CLIP": Expected(
        "a text encoder",
        lambda value: hasattr(value, "tokenize") and hasattr(value, "encode_from_tokens"),
        "Connect a CLIP, such as that of Load Checkpoint.",
    ),
    "VAE": Expected(
        "a VAE",
        lambda value: isinstance(value, comfy.sd.VAE),
        "Connect a VAE, such as that of Load Checkpoint.",
    ),
    "CONTROL_NET": Expected(
        "an SDXL ControlNet",
        lambda value: isinstance(value, comfy.controlnet.ControlBase),
        "Connect the CONTROL_NET of Load ControlNet Model.",
    ),
    Identities.io_type: Expected(
        "a list of people",
        lambda value: isinstance(value, list) and all(map(_is_identity, value)),
        "Connect the identities of a Face Encoder or of Load Identities.",
    ),
    Patches.io_type: Expected(
        "ID patches",
        has_fields(*IDPatches._fields),
        "Connect the id_patches of the ID Patch Builder.",
    ),
    Hint.io_type: Expected(
        "a hint", has_fields(*HintValue._fields), "Connect the id_hint of the Patch Placer."
    ),
}


def carried_by(socket: Any, words: str, advice: str) -> Callable[[type[Value]], type[Value]]:
    """Declare a NamedTuple to be what a socket type carries; the words are those of `Expected`."""

    def declare(value_type: type[Value]) -> type[Value]:
        fields: Any = value_type
        EXPECTED[socket.io_type] = Expected(words, has_fields(*fields._fields), advice)
        return value_type

    return declare


def check_input(schema_input: Any, value: Any, fixed_choices: bool = True) -> None:
    """Raise a ValueError that names the input unless the value is what its type says.

    ComfyUI checks neither what is written into a socket in place of a link, nor linked numbers and
    choices. With `fixed_choices` the value of a combo must be one of its options.
    """
    kind = schema_input.get_io_type()
    expected = EXPECTED.get(kind)
    if expected is None:
        return
    if not expected.accepts(value):
        wanted = expected.words
    elif kind == "COMBO" and fixed_choices and value not in schema_input.options:
        wanted = f"one of {', '.join(map(str, schema_input.options))}"
    elif kind in ("INT", "FLOAT") and not schema_input.min <= value <= schema_input.max:
        wanted = f"{expected.words} from {schema_input.min:g} to {schema_input.max:g}"
    else:
        return
    raise ValueError(
        f"{schema_input.id}: expected {wanted}, got {describe_value(value)}. {expected.advice}"
    )


def check_inputs(node: "type[Node]", values: dict[str, Any]) -> None:
    """Check the values of a node's inputs; None leaves out an optional one without a default."""
    for schema_input in node.define_schema().inputs:
        name = schema_input.id
        if name not in values:
            continue
        default = getattr(schema_input, "default", None)
        if values[name] is None and schema_input.optional and default is None:
            continue
        is_list = name in node.LIST_INPUTS and values[name] is not None
        for value in values[name] if is_list else [values[name]]:
            check_input(schema_input, value, name not in node.FILE_INPUTS)


def take_single_items(node: "type[Node]", values: dict[str, Any]) -> dict[str, Any]:
    """Return a list node's values: those of `LIST_INPUTS` as lists, one item of each other.

    ComfyUI gives each value of such a node as a list; others may call it with plain values. Raises
    ValueError that names the input if a list has no item, or several where one is expected.
    """
    if not all(isinstance(value, list) for value in values.values()):
        values = {name: [value] for name, value in values.items()}
    for name, items in values.items():
        if len(items) == 1 or (items and name in node.LIST_INPUTS):
            continue
        raise ValueError(
            f"{name}: expected one value, got a list of {len(items)}. Connect one value, or choose "
            "an item of the list."
        )
    return {
        name: items if name in node.LIST_INPUTS and items[0] is not None else items[0]
        for name, items in values.items()
    }


class Node(io.ComfyNode):
    """The base of the pack's nodes: their `execute` checks its inputs first.

    `FILE_INPUTS` are the combos of files, whose values the node itself looks up: their lists
    change while ComfyUI runs, and the error for a missing file says more. A node with
    `is_input_list` runs once for lists: its `execute` gets all items of its `LIST_INPUTS`, and the
    one item of its other inputs.
    """

    FILE_INPUTS: tuple[str, ...] = ()
    LIST_INPUTS: tuple[str, ...] = ()

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("execute")
        # ComfyUI derives a class from each node for a run; its `execute` is wrapped already.
        if own is not None and not hasattr(own.__func__, "__wrapped__"):
            setattr(cls, "execute", classmethod(_checked(own.__func__)))  # noqa: B010


def _checked(execute: Callable[..., io.NodeOutput]) -> Callable[..., io.NodeOutput]:
    names = execute.__code__.co_varnames[1 : execute.__code__.co_argcount]

    @functools.wraps(execute)
    def checked(cls: type[Node], *args: Any, **kwargs: Any) -> io.NodeOutput:
        values = {**dict(zip(names, args, strict=False)), **kwargs}
        if cls.LIST_INPUTS:
            values = take_single_items(cls, values)
        check_inputs(cls, values)
        try:
            return execute(cls, **values)
        except ValueError as error:
            message = escape_surrogates(str(error))
            if message == str(error):
                raise
            raise ValueError(message) from None

    return checked
