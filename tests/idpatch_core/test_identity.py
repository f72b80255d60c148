import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from idpatch_core.identity import (
    Identity,
    append,
    average,
    load_identities,
    rename,
    serialize_identities,
    similarity,
)


def unit(*values: float) -> torch.Tensor:
    vector = torch.tensor([*values, *[0.0] * (512 - len(values))])
    return vector / vector.norm()


def person(name: str, *values: float, shade: int | None = None) -> Identity:
    crop = None if shade is None else np.full((112, 112, 3), shade, np.uint8)
    return Identity(name, unit(*values), crop)


def save_identities(path, people: list[Identity]):
    path.write_bytes(serialize_identities(people))


def names(people: list[Identity]) -> list[str]:
    return [one.name for one in people]


def test_the_average_is_the_direction_between():
    found = average("Anna", [person("1", 1, 0), person("2", 0, 1)])
    assert found.name == "Anna"
    assert found.embedding[:3].tolist() == pytest.approx([0.5**0.5, 0.5**0.5, 0])
    assert found.embedding.dtype == torch.float32


def test_weights_pull_the_average_to_their_photo():
    found = average("Anna", [person("1", 1, 0), person("2", 0, 1)], [3, 4])
    assert found.embedding[:2].tolist() == pytest.approx([0.6, 0.8])


def test_weight_zero_leaves_a_photo_out():
    people = [person("1", 1, 0, shade=1), person("2", 0, 1, shade=2)]
    found = average("Anna", people, [0, 2])
    assert torch.equal(found.embedding, people[1].embedding)
    assert found.crop is people[1].crop


def test_the_crop_is_that_of_the_photo_nearest_to_the_average():
    people = [person("1", 1, 0, shade=1), person("2", 1, 1, shade=2), person("3", 0, 1, shade=3)]
    assert average("Anna", people).crop is people[1].crop


def test_one_photo_keeps_its_embedding():
    alone = person("1", 0.1, 0.2, 0.3, shade=9)
    found = average("Anna", [alone])
    assert found == ("Anna", alone.embedding, alone.crop, 1.0, "")


def test_embeddings_that_cancel_out_are_an_error():
    with pytest.raises(ValueError, match=r"Anna: the embeddings .* cancel each other out"):
        average("Anna", [person("1", 1), person("2", -1)])


@pytest.mark.parametrize("weights", [[1], [1, 2, 3], [0, 0], [1, -1], [1, float("nan")]])
def test_weights_that_do_not_fit_are_an_error(weights):
    with pytest.raises(ValueError, match=r"^weights: .*Anna"):
        average("Anna", [person("1", 1), person("2", 0, 1)], weights)


def test_no_photo_is_an_error():
    with pytest.raises(ValueError, match="Anna: there is no photo"):
        average("Anna", [])


def test_names_that_come_again_are_numbered():
    people = append([person("Anna", 1), person("Bob", 1)], [person("Anna", 1), person("Anna", 1)])
    assert names(people) == ["Anna", "Bob", "Anna 2", "Anna 3"]


def test_numbered_names_do_not_take_a_name_that_was_given():
    people = append([person("Anna", 1)], [person("Anna", 1), person("Anna 2", 1)])
    assert names(people) == ["Anna", "Anna 3", "Anna 2"]


def test_appending_leaves_the_first_list_as_it_is():
    first = [person("Anna", 1)]
    append(first, [person("Bob", 1)])
    assert names(first) == ["Anna"]


def test_renaming_keeps_everything_else():
    before = [person("1", 1, shade=1), person("2", 0, 1, shade=2)]
    before[1] = before[1]._replace(phrase="a hat")
    after = rename(before, ["Anna", "Bob"])
    assert names(after) == ["Anna", "Bob"]
    assert [one[1:] for one in after] == [one[1:] for one in before]


def test_renaming_needs_a_name_for_each():
    with pytest.raises(ValueError, match=r"name: got 1 names \(Anna\) for 2 people"):
        rename([person("1", 1), person("2", 1)], ["Anna"])


def test_similarity_is_the_cosine():
    assert similarity(person("1", 1, 0), person("2", 3, 4)) == pytest.approx(0.6)


def test_people_come_back_from_a_file(tmp_path):
    people = [
        person("Anna", 1, 2, shade=7),
        person("Jürgen, 李", 3, 4)._replace(token_strength=0.35),
    ]
    save_identities(tmp_path / "team.safetensors", people)
    loaded = load_identities(tmp_path / "team.safetensors")
    assert names(loaded) == ["Anna", "Jürgen, 李"]
    assert all(torch.equal(a.embedding, b.embedding) for a, b in zip(people, loaded, strict=True))
    crop = loaded[0].crop
    assert crop is not None and crop.dtype == np.uint8
    assert (crop == people[0].crop).all()
    assert loaded[1].crop is None
    assert [one.token_strength for one in loaded] == [1.0, 0.35]


def test_phrases_come_back_from_a_file(tmp_path):
    people = [person("Anna", 1)._replace(phrase="rotes Kleid, 笑"), person("Bob", 0, 1)]
    save_identities(tmp_path / "team.safetensors", people)
    loaded = load_identities(tmp_path / "team.safetensors")
    assert [one.phrase for one in loaded] == ["rotes Kleid, 笑", ""]


METADATA = {
    "format": "idpatch-identities",
    "version": "1",
    "names": '["Anna"]',
    "token_strengths": "[1.0]",
}


def test_the_metadata_hold_format_version_names_and_token_strengths(tmp_path):
    save_identities(tmp_path / "team.safetensors", [person("Anna", 1)])
    with safe_open(tmp_path / "team.safetensors", "pt") as file:
        metadata = file.metadata()
    assert metadata == METADATA


def test_an_empty_list_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="identities: the list is empty"):
        save_identities(tmp_path / "team.safetensors", [])


def write(path, tensors, **changes: str):
    save_file(tensors, path, {**METADATA, **changes})
    return path


def test_a_file_of_something_else_is_refused(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "lora.safetensors")
    with pytest.raises(ValueError, match=r"lora\.safetensors holds no people"):
        load_identities(tmp_path / "lora.safetensors")


def test_a_newer_version_is_refused(tmp_path):
    path = write(tmp_path / "a.safetensors", {"embeddings": unit(1)[None]}, version="2")
    with pytest.raises(ValueError, match=r"is of version 2, expected 1\. Update"):
        load_identities(path)


def test_a_truncated_file_is_refused(tmp_path):
    save_identities(tmp_path / "team.safetensors", [person("Anna", 1, shade=1)])
    content = (tmp_path / "team.safetensors").read_bytes()
    (tmp_path / "team.safetensors").write_bytes(content[:-100])
    with pytest.raises(ValueError, match=r"^team.safetensors cannot be read: .* truncated"):
        load_identities(tmp_path / "team.safetensors")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"^team.safetensors cannot be read: there is no"):
        load_identities(tmp_path / "team.safetensors")


ONE = {"embeddings": unit(1)[None]}
DAMAGE = [
    ("names", ONE, {"names": "[1]"}),
    ("names", ONE, {"names": "[" * 50_000}),
    ("names", {"embeddings": torch.ones(1, 1)}, {"names": "[]", "token_strengths": "[]"}),
    ("embeddings", ONE, {"names": json.dumps(["Anna", "Bob"]), "token_strengths": "[1, 1]"}),
    ("no embeddings", {"crop.0": torch.zeros(112, 112, 3, dtype=torch.uint8)}, {}),
    ("embeddings hold torch.int64", {"embeddings": torch.ones(1, 1, dtype=torch.int64)}, {}),
    ("unit length", {"embeddings": torch.full((1, 512), float("nan"))}, {}),
    ("crop", {**ONE, "crop.0": torch.zeros(9, 9, 3)}, {}),
    ("it has crop.1 beside ", {**ONE, "crop.1": torch.zeros(1)}, {}),
    *(
        ("token strengths", ONE, {"token_strengths": f"[{strength}]"})
        for strength in ("NaN", "-1", "10.5", "true", "null", "1" * 400, "1, 1")
    ),
    *(("phrases", ONE, {"phrases": text}) for text in ("", "[]", "[null]", '["a", "b"]', '"a"')),
]


@pytest.mark.parametrize(("what", "tensors", "changes"), DAMAGE)
def test_a_damaged_file_says_what_is_wrong(tmp_path, what, tensors, changes):
    path = write(tmp_path / "a.safetensors", tensors, **changes)
    with pytest.raises(ValueError, match=rf"^a\.safetensors is damaged: .*{what}"):
        load_identities(path)


def test_names_of_any_characters_are_kept(tmp_path):
    strange = ["a\nb\0", "../x", "😀" * 1000]
    save_identities(tmp_path / "team.safetensors", [person(name, 1) for name in strange])
    assert names(load_identities(tmp_path / "team.safetensors")) == strange


def test_half_a_character_of_a_text_is_escaped(tmp_path):
    half = person("a\ud800", 1)._replace(phrase="b\ud800")
    save_identities(tmp_path / "team.safetensors", [half])
    (loaded,) = load_identities(tmp_path / "team.safetensors")
    assert (loaded.name, loaded.phrase) == (r"a\ud800", r"b\ud800")


def test_people_of_two_face_models_do_not_fit_in_one_file():
    two = [person("Anna", 1), Identity("Bob", torch.ones(1))]
    with pytest.raises(ValueError, match=r"^identities: the embeddings have 1 and 512 numbers"):
        serialize_identities(two)


def test_a_file_may_be_replaced_while_its_people_are_in_use(tmp_path):
    path = tmp_path / "team.safetensors"
    save_identities(path, [person("Anna", 1, shade=7)])
    (anna,) = load_identities(path)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert torch.equal(anna.embedding, unit(1))
    assert anna.crop is not None and (anna.crop == 7).all()
