import asyncio
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from projection_states import EMBEDDING_DIM, small_mlp, small_projections
from safetensors.torch import load_file
from torch.nn.functional import normalize

from idpatch_core.checkpoint import FACE, PATCH_SIZE, write_id_patch
from idpatch_core.identity import Identity
from idpatch_core.location import Location
from idpatch_core.projection import build_projection, project

REFERENCE = Path(__file__).parents[1] / "data" / "reference"


@pytest.fixture
def models(comfy, tmp_path):
    """A folder that models/idpatch is searched in, empty."""
    import folder_paths

    searched = folder_paths.folder_names_and_paths["idpatch"][0]
    searched.insert(0, str(tmp_path))
    folder_paths.filename_list_cache.pop("idpatch", None)
    yield tmp_path
    searched.remove(str(tmp_path))
    folder_paths.filename_list_cache.pop("idpatch", None)


@pytest.fixture
def small(models):
    write_id_patch(models / "small.safetensors", *small_projections())
    return models / "small.safetensors"


@torch.inference_mode()
def load(comfy, name, weight_dtype="default"):
    return comfy.nodes.model.IDPatchLoadModel.execute(name, weight_dtype).args[0]


@torch.inference_mode()
def build(comfy, model, identities):
    return comfy.nodes.model.IDPatchBuilder.execute(model, identities).args[0]


def people(count, width=EMBEDDING_DIM):
    embeddings = torch.randn(count, width, generator=torch.Generator().manual_seed(count))
    return [Identity(f"P{i}", e) for i, e in enumerate(normalize(embeddings, dim=-1))]


@pytest.mark.parametrize("weight_dtype", ["default", "fp32", "fp16"])
@pytest.mark.parametrize("name", ["case0", "case1"])
def test_the_nodes_give_the_reference_s_patches_and_tokens(comfy, models, name, weight_dtype):
    case = load_file(REFERENCE / f"{name}.safetensors")
    shutil.copy(REFERENCE / "id-patch.bin", models)
    identities = [Identity(str(i), embedding) for i, embedding in enumerate(case["face_embeds"])]
    out = build(comfy, load(comfy, "id-patch.bin", weight_dtype), identities)
    torch.testing.assert_close(out.patches, case["patches"], rtol=0, atol=1e-5)
    for tokens, expected in (
        (out.tokens, case["id_tokens"]),
        (out.zero_tokens, case["negative_id_tokens"]),
    ):
        assert (tokens.dtype, tokens.device.type) == (torch.float32, "cpu")
        torch.testing.assert_close(tokens.flatten(0, 1), expected[0], rtol=0, atol=1e-5)


def test_one_face_given_for_two_people_is_warned_about(comfy, small):
    model, three = load(comfy, "small.safetensors"), people(3)
    execute = comfy.nodes.model.IDPatchBuilder.execute
    with torch.inference_mode():
        assert execute(model, three).ui == {"idpatch_warnings": []}
        out = execute(model, [*three, three[1]._replace(name="Cleo")])
    (warning,) = out.ui["idpatch_warnings"]
    assert warning.startswith("identities: P1 and Cleo have the same face (similarity 1.00).")
    assert len(out.args[0].patches) == 4


@pytest.mark.parametrize("count", range(1, 11))
def test_people_keep_their_order_names_and_crops(comfy, small, count):
    identities = people(count)
    identities[-1] = identities[-1]._replace(crop=np.ones((112, 112, 3), np.uint8))
    out = build(comfy, load(comfy, "small.safetensors"), identities)
    projections = [build_projection(state) for state in small_projections()]
    for i, identity in enumerate(identities):
        with torch.no_grad():
            patches, tokens, _ = project(*projections, identity.embedding.unsqueeze(0))
        torch.testing.assert_close(out.patches[i], patches[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(out.tokens[i], tokens[0], rtol=0, atol=1e-5)
    assert out.names == tuple(f"P{i}" for i in range(count))
    assert [person.crop is None for person in out.people] == [True] * (count - 1) + [False]


def test_tags_of_points_are_those_of_the_file(comfy, models):
    torch.manual_seed(0)
    tags = Location(3, 16).requires_grad_(False)
    state = {f"location.{name}": weight for name, weight in tags.state_dict().items()}
    write_id_patch(models / "tags.safetensors", small_mlp(3, 64), {**small_mlp(4, 16), **state})
    points = torch.tensor([[0.1, 0.2], [0.9, 0.5]])
    for weight_dtype, atol in (("default", 0), ("fp16", 1e-3)):
        out = build(comfy, load(comfy, "tags.safetensors", weight_dtype), people(2))
        assert out.location(points).dtype == torch.float32
        torch.testing.assert_close(out.location(points), tags(points), rtol=0, atol=atol)


def test_mlp_projections_drive_the_nodes(comfy, models):
    write_id_patch(models / "mlp.safetensors", small_mlp(3, 256), small_mlp(7, 20))
    out = build(comfy, load(comfy, "mlp.safetensors"), people(2))
    assert out.patches.shape == (2, 3, 16, 16)
    assert out.tokens.shape == out.zero_tokens.shape == (2, 7, 20)


@pytest.mark.parametrize(
    ("weight_dtype", "dtype"),
    [("default", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)],
)
def test_weights_are_kept_in_the_chosen_dtype(comfy, small, weight_dtype, dtype):
    model = load(comfy, "small.safetensors", weight_dtype)
    for patcher in (model.patch_proj, model.prompt_proj):
        assert {parameter.dtype for parameter in patcher.model.parameters()} == {dtype}


def test_a_file_that_is_overwritten_while_loaded_changes_nothing(comfy, small):
    model = load(comfy, "small.safetensors")
    before = build(comfy, model, people(2))
    with small.open("r+b") as file:
        file.write(b"\0" * small.stat().st_size)
    assert torch.equal(build(comfy, model, people(2)).tokens, before.tokens)


def test_a_changed_file_is_loaded_again(comfy, small):
    fingerprint = comfy.nodes.model.IDPatchLoadModel.fingerprint_inputs
    before = fingerprint("small.safetensors", "default")
    assert before == fingerprint("small.safetensors", "default")
    assert before != fingerprint("small.safetensors", "fp16")
    os.utime(small, (1, 1))
    assert before != fingerprint("small.safetensors", "default")
    assert fingerprint("none.bin", "default") == ""
    assert fingerprint(None, "default") == ""  # as of a linked input


def test_errors_of_the_file_name_the_input_and_the_file(comfy, models):
    shutil.copy(REFERENCE / "controlnet.safetensors", models / "cn.safetensors")
    with pytest.raises(ValueError, match=r"^model_name: cn\.safetensors: it looks like a ControlN"):
        load(comfy, "cn.safetensors")


def test_weights_that_do_not_fit_in_half_precision_say_so(comfy, models):
    patch_state, prompt_state = small_projections()
    prompt_state["latents"] = prompt_state["latents"] + 1e6
    write_id_patch(models / "large.bin", patch_state, prompt_state)
    load(comfy, "large.bin", "bf16")
    with pytest.raises(ValueError, match=r"prompt_proj\.latents .* not finite in float16"):
        load(comfy, "large.bin", "fp16")


def test_comfyui_refuses_a_missing_model_with_what_to_do(comfy, models, monkeypatch):
    import execution

    import nodes

    node = comfy.nodes.model.IDPatchLoadModel
    monkeypatch.setitem(nodes.NODE_CLASS_MAPPINGS, "IDPatchLoadModel", node)
    inputs = {"model_name": "id-patch.bin", "weight_dtype": "default"}
    prompt = {"1": {"class_type": "IDPatchLoadModel", "inputs": inputs}}
    valid, errors, _ = asyncio.run(execution.validate_inputs("0", prompt, "1", {}))
    assert not valid
    details = errors[0]["details"]
    assert details.startswith("model_name - id-patch.bin was not found in ")
    assert "Download id-patch.bin from https://huggingface.co/ByteDance/ID-Patch" in details
    shutil.copy(REFERENCE / "id-patch.bin", models)
    assert asyncio.run(execution.validate_inputs("0", prompt, "1", {}))[0]


def test_files_are_offered_as_they_appear(comfy, models):
    def offered():
        inputs = comfy.nodes.model.IDPatchLoadModel.INPUT_TYPES()["required"]
        return inputs["model_name"][1]["options"]

    assert offered() == ["id-patch.bin"]
    write_id_patch(models / "own.safetensors", *small_projections())
    assert offered() == ["own.safetensors"]


def test_an_empty_list_is_an_error(comfy, small):
    with pytest.raises(ValueError, match=r"^identities: the list is empty"):
        build(comfy, load(comfy, "small.safetensors"), [])


@pytest.mark.parametrize(
    ("embedding", "message"),
    [
        (torch.ones(512) / 512**0.5, r"shape \(512,\), this ID-Patch model takes 24"),
        (torch.ones(1, EMBEDDING_DIM), r"shape \(1, 24\)"),
        (torch.full((EMBEDDING_DIM,), float("nan")), "NaN or infinity"),
        (torch.ones(EMBEDDING_DIM), r"of length 4\.899, expected 1"),
        (torch.zeros(EMBEDDING_DIM), "of length 0, expected 1"),
    ],
)
def test_a_wrong_embedding_names_the_person(comfy, small, embedding, message):
    identities = [*people(1), Identity("Ann", embedding)]
    with pytest.raises(ValueError, match=rf"^identities: person 2 \(Ann\) .*{message}"):
        build(comfy, load(comfy, "small.safetensors"), identities)


def test_an_embedding_in_half_precision_is_of_unit_length(comfy, small):
    identities = [person._replace(embedding=person.embedding.half()) for person in people(3)]
    assert len(build(comfy, load(comfy, "small.safetensors"), identities).patches) == 3


@torch.inference_mode()
def test_a_model_says_whether_its_patches_are_as_large_as_faces(comfy, models):
    person = Identity("Ann", normalize(torch.randn(EMBEDDING_DIM), dim=0))
    for name, metadata in (("one-size", {}), ("faces", {PATCH_SIZE: FACE})):
        write_id_patch(models / f"{name}.safetensors", *small_projections(), metadata)
        model = load(comfy, f"{name}.safetensors")
        built = comfy.nodes.model.IDPatchBuilder.execute(model, [person]).args[0]
        assert built.face_sized == bool(metadata)


@pytest.mark.parametrize("weight", [3e38, -1e30, 1e5])
@pytest.mark.parametrize(
    ("projection", "name", "what"),
    [
        (0, "norm.bias", "patches for P0"),
        (0, "norm.weight", "patches for P0"),
        (1, "norm.bias", "tokens for P0"),
        (1, "location.point.weight", "location tags"),
    ],
)
def test_an_absurd_weight_is_an_error_and_no_black_image(
    comfy, models, projection, name, what, weight
):
    tags = {f"location.{k}": v.detach() for k, v in Location(3, 16).state_dict().items()}
    states = [small_mlp(3, 64), {**small_mlp(4, 16), **tags}]
    states[projection][name] = states[projection][name].clone()
    states[projection][name].view(-1)[0] = weight
    write_id_patch(models / "absurd.safetensors", *states)
    message = rf"^idpatch_model: absurd\.safetensors gives {what} with values of .* damaged"
    with pytest.raises(ValueError, match=message):
        build(comfy, load(comfy, "absurd.safetensors"), people(1))


@pytest.mark.parametrize("name", ["proj.0.bias", "proj.2.bias"])
def test_a_weight_that_makes_tokens_nan_is_an_error(comfy, models, name):
    states = [small_mlp(3, 64), small_mlp(4, 16)]
    states[1][name] = torch.full_like(states[1][name], 3e38)
    write_id_patch(models / "absurd.safetensors", *states)
    with pytest.raises(ValueError, match="gives tokens for P0 with values of nan"):
        build(comfy, load(comfy, "absurd.safetensors"), people(1))
