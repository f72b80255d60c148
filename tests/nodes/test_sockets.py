"""Each input of each node refuses what is not of its type, in one sentence that names it."""

from typing import Any

import numpy as np
import pytest
import torch

from idpatch_core.face_detector import YuNet

VALUES = {
    "nothing": None,
    "a flag": True,
    "a number": 3,
    "a fraction": 0.5,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "a huge number": 10**400,
    "a negative number": -(2**70),
    "a text": "zzz",
    "an empty text": "",
    "a name that leaves the folder": "../../../etc/passwd",
    "a NUL": "a\0b",
    "half a character": "\ud800",
    "half a character in JSON": '[{"\\ud800": 1}]',
    "a list": [1, 2],
    "an empty list": [],
    "a nested list": [[]],
    "an object": {"samples": 3},
    "an empty object": {},
    "a tensor": torch.zeros(3),
    "an empty image": torch.zeros(0, 8, 8, 3),
    "two channels": torch.zeros(1, 8, 8, 2),
    "whole numbers": torch.zeros(1, 8, 8, 3, dtype=torch.uint8),
    "an array": np.zeros((1, 8, 8, 3), np.float32),
    "bytes": b"abc",
    "an exception": ValueError("x"),
    "a conditioning of numbers": [[1, {}]],
    "a socket object": object(),
}


def small_vae() -> Any:
    import comfy.sd
    from comfy.taesd.taesd import TAESD

    return comfy.sd.VAE(sd=TAESD().state_dict())


def valid_inputs(comfy: Any, tiny_sdxl: Any) -> dict[str, Any]:
    """A right value of each socket type, small."""
    core, nodes = comfy.idpatch_core, comfy.nodes
    embedding = torch.nn.functional.normalize(torch.ones(512), dim=0)
    person = core.identity.Identity("p", embedding, np.zeros((112, 112, 3), np.uint8))
    tokens = torch.zeros(1, 1, 2048)
    zeros = torch.zeros(1, 3, 64, 64)
    patches = core.projection.IDPatches(zeros, tokens, tokens, (person,))
    hint = core.canvas.Hint(zeros, zeros, (core.layout.Point(3, 4),), ("p",))
    scorer = core.verification.scorer.FaceScorer("x", lambda crops: np.ones((len(crops), 2)))
    return {
        "IMAGE": torch.zeros(1, 64, 64, 3),
        "LATENT": {"samples": torch.zeros(1, 4, 8, 8)},
        "CONDITIONING": [[torch.zeros(1, 77, 2048), {"pooled_output": torch.zeros(1, 1280)}]],
        "MODEL": tiny_sdxl.model,
        "CLIP": nodes.demo_models.IDPatchLoadDemoModels.execute().result[1],
        "VAE": small_vae(),
        "CONTROL_NET": tiny_sdxl.control_net,
        "IDPATCH_IDENTITIES": [person],
        "IDPATCH_PATCHES": patches,
        "IDPATCH_HINT": hint,
        "IDPATCH_FACE_MODEL": nodes.faces.FaceModel(None, YuNet(), "x", "y"),
        "IDPATCH_MODEL": nodes.model.IDPatchModel("x", None, None, 512, None, False),
        "IDPATCH_SCORER": nodes.scorer.LoadedScorer(scorer, YuNet(), "y"),
        "POSE_KEYPOINT": core.poses.to_pose_keypoint(core.poses.make_standing(1, 64, 64), 64, 64),
    }


# Instead of the defaults, with which nodes that sample take minutes.
CHEAP = {"steps": 1, "refine_steps": 1, "tries": 1, "crop_size": 64, "face_size": 16}


@pytest.fixture(scope="module")
def right(comfy, tiny_sdxl) -> dict[str, Any]:
    return valid_inputs(comfy, tiny_sdxl)


def right_value(schema_input: Any, right: dict[str, Any]) -> Any:
    if schema_input.id in CHEAP:
        return CHEAP[schema_input.id]
    if schema_input.get_io_type() in right:
        return right[schema_input.get_io_type()]
    if schema_input.get_io_type() == "COMBO":
        return schema_input.default or schema_input.options[0]
    return "{}" if schema_input.default is None else schema_input.default


def all_inputs(comfy: Any) -> list[tuple[Any, Any]]:
    return [(node, one) for node in comfy.nodes.NODES for one in node.define_schema().inputs]


def fits(schema_input: Any, value: Any) -> bool:
    """Tell whether the type of an input, not yet the node, allows a value of the table."""
    if value is None:
        return schema_input.optional and getattr(schema_input, "default", None) is None
    kind = schema_input.get_io_type()
    if kind == "IDPATCH_IDENTITIES" and isinstance(value, list) and not value:
        return True
    types = {"STRING": (str,), "BOOLEAN": (bool,), "INT": (int,), "FLOAT": (int, float)}
    if kind not in types or (isinstance(value, bool) and kind != "BOOLEAN"):
        return False
    numeric = kind in ("INT", "FLOAT")
    return isinstance(value, types[kind]) and not (
        numeric and not schema_input.min <= value <= schema_input.max
    )


def run(node: Any, right: dict[str, Any], **wrong: Any) -> str | None:
    """Run a node with these inputs and right ones otherwise; return the error or None.

    Any other exception than a ValueError is the test's failure, and an error that is not UTF-8.
    """
    inputs = node.define_schema().inputs
    try:
        node.execute(**{one.id: right_value(one, right) for one in inputs} | wrong)
    except ValueError as error:
        return str(error).encode().decode()
    return None


def test_each_socket_type_has_a_check(comfy):
    checked = {*comfy.nodes.sockets.EXPECTED, "POSE_KEYPOINT"}  # read_pose_keypoint checks it
    assert {one.get_io_type() for _, one in all_inputs(comfy)} <= checked


def test_right_values_are_accepted(comfy, right):
    for _, schema_input in all_inputs(comfy):
        comfy.nodes.sockets.check_input(schema_input, right_value(schema_input, right))


def test_wrong_values_end_in_one_sentence_that_names_the_input(comfy, right):
    for node, schema_input in all_inputs(comfy):
        for name, value in VALUES.items():
            case = (node.__name__, schema_input.id, name)
            try:
                message = run(node, right, **{schema_input.id: value})
            except Exception as error:
                raise AssertionError(case) from error
            about = message and message.partition(": ")[0]
            # There is no model file here and no face in the image, which a node may say first.
            fitting = fits(schema_input, value) or schema_input.id in node.FILE_INPUTS
            others = {None, "image", "images", *node.FILE_INPUTS} if fitting else set()
            assert about in {schema_input.id, *others}, (*case, message)


@pytest.mark.parametrize(
    ("socket", "value", "message"),
    [
        ("IMAGE", True, "expected images (N, H, W, 3) of floats, got true. Connect an IMAGE,"),
        ("IMAGE", {"samples": 1}, "of floats, got an object with samples. Connect"),
        ("CONDITIONING", [[1, {}]], "expected conditioning, got a list of 1. Connect a"),
        ("MODEL", "x" * 99, f"expected a diffusion model, got '{'x' * 37}...'. Connect a MODEL"),
        ("IDPATCH_HINT", None, "expected a hint, got nothing. Connect the id_hint of the Patch"),
        ("IDPATCH_FACE_MODEL", 3, "expected a face model, got 3. Connect the one of Load Face"),
        ("IDPATCH_PATCHES", torch.zeros(2, 3), "expected ID patches, got Tensor (2, 3). Connect"),
    ],
)
def test_what_came_and_what_to_connect_are_said(comfy, socket, value, message):
    inputs = (one for _, one in all_inputs(comfy) if one.get_io_type() == socket)
    one = next(inputs)
    with pytest.raises(ValueError) as caught:
        comfy.nodes.sockets.check_input(one, value)
    assert str(caught.value).startswith(f"{one.id}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("node", "inputs", "message"),
    [
        ("Sampler", {"steps": 0}, "steps: expected a whole number from 1 to 1000, got 0."),
        ("Sampler", {"scheduler": "zzz"}, "scheduler: expected one of reference, "),
        ("FaceEncoder", {"people": "zzz"}, "people: expected one of auto, one_person,"),
        ("Placer", {"arrangement": "zzz"}, "arrangement: expected one of auto, placements,"),
        ("LoadModel", {"weight_dtype": "zzz"}, "weight_dtype: expected one of default, "),
        ("LoadDemoPortrait", {"person": "../../x"}, "person: there is no portrait"),
    ],
)
def test_choices_and_ranges_are_checked_where_comfyui_does_not(comfy, right, node, inputs, message):
    found = next(one for one in comfy.nodes.NODES if one.__name__ == f"IDPatch{node}")
    assert (run(found, right, **inputs) or "").startswith(message)


def test_a_value_of_the_pack_loaded_twice_is_taken(comfy, right):
    from idpatch_core.identity import Identity  # another class than the pack's

    (one,) = [one for one in comfy.nodes.NODES[2].define_schema().inputs if one.id == "identities"]
    people = [Identity("p", torch.zeros(512))]
    assert type(people[0]) is not type(right["IDPATCH_IDENTITIES"][0])
    comfy.nodes.sockets.check_input(one, people)


def test_a_class_that_comfyui_derives_for_a_run_checks_once(comfy, monkeypatch):
    checked = []
    monkeypatch.setattr(comfy.nodes.sockets, "check_inputs", lambda *_: checked.append(1))
    node = comfy.nodes.demo_models.IDPatchLoadDemoPortrait
    node.PREPARE_CLASS_CLONE({}).execute(person="Ada")
    assert checked == [1]
