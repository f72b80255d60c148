import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from photos import PHOTOS, collage, photo
from PIL import Image


@pytest.fixture
def photos(comfy):
    """ComfyUI's input folder with photos, and an image of three people."""
    import folder_paths

    folder = Path(folder_paths.get_input_directory())
    (folder / "more").mkdir(parents=True, exist_ok=True)
    for name in ("obama", "collins", "sunak"):
        shutil.copy(PHOTOS / f"{name}.jpg", folder)
    Image.fromarray(group()).save(folder / "more" / "group.png")
    yield folder
    shutil.rmtree(folder)


def group() -> np.ndarray:
    """Return three people; Obama is the largest, then Sunak, then Collins."""
    return collage(
        1200, 500, ("sunak", 0, 0, 0.6), ("collins", 330, 0, 0.9), ("obama", 800, 0, 0.7)
    )


@torch.inference_mode()
def run(comfy, face_model, people, **inputs):
    """Return the identities and what the node shows."""
    text = people if isinstance(people, str) else json.dumps(people)
    output = comfy.nodes.people.IDPatchPeople.execute(face_model, text, **inputs)
    return output.args[0], output.ui


@torch.inference_mode()
def encode(comfy, face_model, file, **inputs):
    """Return the identities of a Face Encoder behind Load Image."""
    import nodes

    image = nodes.LoadImage().load_image(file)[0]
    return comfy.nodes.faces.IDPatchFaceEncoder.execute(face_model, image, **inputs).args[0]


def assert_same(a, b):
    assert [one.name for one in a] == [one.name for one in b]
    assert [one.token_strength for one in a] == [one.token_strength for one in b]
    for one, other in zip(a, b, strict=True):
        assert torch.equal(one.embedding, other.embedding)
        assert np.array_equal(one.crop, other.crop)


def test_the_people_are_those_of_chained_face_encoders(comfy, face_model, photos):
    chain = encode(comfy, face_model, "obama.jpg", name="Barack", token_strength=0.5)
    chain = encode(comfy, face_model, "collins.jpg", identities=chain)
    options = {"name": "Rishi", "face": "index", "index": 0}
    chain = encode(comfy, face_model, "more/group.png", identities=chain, **options)
    chain = encode(comfy, face_model, "sunak.jpg", name="Rishi", identities=chain)
    people = [
        {"name": "Barack", "photos": [{"file": "obama.jpg"}], "token_strength": 0.5},
        {"photos": ["collins.jpg"]},
        {"name": "Rishi", "photos": [{"file": "more/group.png", "face": [0.15, 0.4]}]},
        {"name": "Rishi", "photos": ["sunak.jpg"]},
    ]
    found, shown = run(comfy, face_model, {"version": 1, "people": people})
    assert [one.name for one in found] == ["Barack", "person 2", "Rishi", "Rishi 2"]
    assert_same(found, chain)
    half, _ = run(comfy, face_model, people[2:], identities=chain[:2])
    assert_same(half, chain)
    assert [face["name"] for face in shown["idpatch_faces"][0]["faces"]] == [
        one.name for one in chain
    ]


def test_several_photos_are_averaged_with_their_weights(comfy, face_model, photos):
    Image.fromarray(photo("obama")[:, ::-1]).save(photos / "mirrored.png")
    batch = torch.from_numpy(np.stack([photo("obama"), photo("obama")[:, ::-1]])).float() / 255
    Image.fromarray(photo("obama")).save(photos / "obama.png")
    node = comfy.nodes.faces.IDPatchFaceEncoder
    expected = node.execute(face_model, batch, name="Barack", weights="1, 3").args[0]
    files = ["obama.png", {"file": "mirrored.png", "weight": 3}]
    found, _ = run(comfy, face_model, [{"name": "Barack", "photos": files}])
    assert_same(found, expected)


@pytest.mark.parametrize(("x", "index"), [(0.15, 0), (0.48, 1), (0.85, 2)])
def test_the_face_at_a_point_is_taken(comfy, face_model, photos, x, index):
    people = [{"name": "A", "photos": [{"file": "more/group.png", "face": [x, 0.4]}]}]
    found, shown = run(comfy, face_model, people)
    options = {"name": "A", "face": "index", "index": index}
    assert_same(found, encode(comfy, face_model, "more/group.png", **options))
    assert shown["idpatch_faces"][0]["warnings"] == []


def test_the_largest_face_is_taken_with_a_warning(comfy, face_model, photos, caplog):
    with caplog.at_level(logging.WARNING):
        found, shown = run(comfy, face_model, [{"name": "A", "photos": ["more/group.png"]}])
    assert_same(found, encode(comfy, face_model, "more/group.png", name="A"))
    (warning,) = shown["idpatch_faces"][0]["warnings"]
    assert warning.startswith("people: A: more/group.png: 3 faces were found; the largest was used")
    assert warning in caplog.text
    report = shown["idpatch_photos"][0]["more/group.png"]
    assert (report["width"], report["height"], len(report["faces"])) == (1200, 500, 3)
    left, top, right, bottom = report["faces"][0]  # Obama, on the right
    assert 0.66 < left < right < 1 and 0 < top < bottom < 1


def test_images_of_a_link_are_one_person_each(comfy, face_model, photos):
    import nodes

    images = [nodes.LoadImage().load_image(f"{name}.jpg")[0] for name in ("collins", "sunak")]
    node = comfy.nodes.people.IDPatchPeople
    text = json.dumps([{"name": "Barack", "photos": ["obama.jpg"]}])
    found = node.execute(face_model=[face_model], people=[text], images=images).args[0]
    assert [one.name for one in found] == ["Barack", "person 2", "person 3"]
    expected = encode(comfy, face_model, "collins.jpg")[0]
    assert torch.equal(found[1].embedding, expected.embedding)
    batch = torch.cat([images[0], images[0].flip(2)])
    assert len(run(comfy, face_model, "", images=batch)[0]) == 2
    with pytest.raises(ValueError, match=r"^images: image 1 \(99x99\): no face was found"):
        run(comfy, face_model, "", images=torch.zeros(1, 99, 99, 3))


@pytest.fixture
def encoded(comfy, monkeypatch):
    """The crops that were encoded, counted from here."""
    module = comfy.nodes.photos
    crops, encode_crops = [], module.encode_crops

    def count(face_model, faces):
        crops.extend(faces)
        return encode_crops(face_model, faces)

    monkeypatch.setattr(module, "encode_crops", count)
    return crops


def test_new_names_and_phrases_encode_no_photo_again_and_a_replaced_photo_is(
    comfy, face_model, photos, encoded
):
    node = comfy.nodes.people.IDPatchPeople
    people = [{"name": "Anna", "photos": ["collins.jpg"]}, {"name": "Ben", "photos": ["obama.jpg"]}]
    run(comfy, face_model, people)
    assert len(encoded) == 2
    renamed = [{**people[1], "name": "Bob", "phrase": "a hat"}, {**people[0], "name": "Ann"}]
    found, _ = run(comfy, face_model, renamed)
    assert [(one.name, one.phrase) for one in found] == [("Bob", "a hat"), ("Ann", "")]
    assert len(encoded) == 2
    before = node.fingerprint_inputs([json.dumps(people)], face_model=[None])
    assert node.fingerprint_inputs([json.dumps(renamed[::-1])]) == before
    shutil.copy(photos / "sunak.jpg", photos / "obama.jpg")
    assert node.fingerprint_inputs([json.dumps(people)]) != before
    found, _ = run(comfy, face_model, people)
    assert len(encoded) == 3
    assert torch.equal(
        found[1].embedding, encode(comfy, face_model, "sunak.jpg", name="Ben")[0].embedding
    )


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ([{"name": "Anna", "photos": ["gone.jpg"]}], "Anna: gone.jpg was not found in "),
        ([{"name": "Anna", "photos": ["../secret.jpg"]}], "Anna: '../secret.jpg' leaves"),
        ([{"name": "Anna", "photos": ["/etc/hostname"]}], "Anna: '/etc/hostname' leaves"),
        ([{"name": "Anna", "photos": []}], "person 1 (Anna): photos: expected at least one photo"),
        (
            [{"name": "Anna", "photos": ["obama.jpg"], "phrase": ["hat"]}],
            "person 1 (Anna): phrase: expected text, got a list of 1",
        ),
        ("nonsense", "it is not JSON"),
    ],
)
def test_wrong_people_are_refused_before_a_run(comfy, face_model, photos, people, message):
    text = people if isinstance(people, str) else json.dumps(people)
    refused = comfy.nodes.people.IDPatchPeople.validate_inputs([text])
    assert isinstance(refused, str) and refused.startswith(message)
    with pytest.raises(ValueError) as error:
        run(comfy, face_model, text)
    assert str(error.value).startswith(f"people: {message}")


def test_right_people_and_links_pass(comfy, photos):
    node = comfy.nodes.people.IDPatchPeople
    for value in (None, [None], [""], ['[{"photos": ["obama.jpg [input]"]}]']):
        assert node.validate_inputs(value) is True


def test_errors_of_photos_name_the_person(comfy, face_model, photos):
    Image.new("RGB", (200, 100), "grey").save(photos / "grey.png")
    (photos / "text.png").write_text("no image")
    tiny = collage(300, 300, ("collins", 0, 0, 0.25))
    Image.fromarray(tiny).save(photos / "tiny.png")
    for file, message in (
        ("grey.png", r"^people: Anna: grey\.png \(200x100\): no face was found"),
        ("text.png", r"^people: Anna: text\.png: text\.png cannot be read as an image"),
        ("tiny.png", r"^people: Anna: tiny\.png: the face is \d+x\d+ pixels, too small for"),
    ):
        with pytest.raises(ValueError, match=message):
            run(comfy, face_model, [{"name": "Anna", "photos": ["obama.jpg", file]}])
    weightless = {"file": "obama.jpg", "weight": 0}
    with pytest.raises(ValueError, match="people: Anna: weights: expected numbers from 0, one"):
        run(comfy, face_model, [{"name": "Anna", "photos": [weightless, weightless]}])


def test_no_one_is_an_error(comfy, face_model):
    with pytest.raises(ValueError, match="people: no one is given"):
        run(comfy, face_model, "[]")


def test_photos_of_different_people_are_warned_of(comfy, face_model, photos, monkeypatch):
    # The small network of the tests sees little difference between people.
    monkeypatch.setattr(comfy.idpatch_core.encode, "DIFFERENT_PEOPLE", 2.0)
    files = ["obama.jpg", "collins.jpg"]
    _, shown = run(comfy, face_model, [{"name": "Anna", "photos": files}])
    assert any(
        warning.startswith("people: image 1 and image 2 seem to show different people")
        for warning in shown["idpatch_faces"][0]["warnings"]
    )
