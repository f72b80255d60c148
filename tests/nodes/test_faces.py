import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from face_models import add_folder, load
from face_weights import REFERENCE, write_formula_weights
from photos import collage, photo
from safetensors.torch import load_file, save_file
from scrfd import SCORE, write_detector

from idpatch_core.identity import average

RELEASED = "recognition_arcface_ir_se50.pth"


@torch.inference_mode()
def encode(comfy, face_model, *images, **inputs):
    """Return the identities and what the node shows."""
    image = torch.from_numpy(np.stack(images)).float() / 255
    output = comfy.nodes.faces.IDPatchFaceEncoder.execute(face_model, image, **inputs)
    return output.args[0], output.ui["idpatch_faces"][0]


def names(people):
    return [person.name for person in people]


def group() -> np.ndarray:
    """Return three people; Obama is the largest, then Sunak, then Collins."""
    return collage(
        1200, 500, ("sunak", 0, 0, 0.6), ("collins", 330, 0, 0.9), ("obama", 800, 0, 0.7)
    )


@pytest.fixture
def three(comfy, face_model):
    """Sunak, Collins and Obama as encoded from the group, from left to right."""
    return encode(comfy, face_model, group(), face="left_to_right")[0]


def same(a, b) -> bool:
    return torch.equal(a.embedding, b.embedding)


def test_a_missing_file_says_what_to_fetch_and_where_to_put_it(comfy, recognition):
    message = comfy.nodes.faces.IDPatchLoadFaceModel.validate_inputs(RELEASED)
    assert RELEASED in message
    assert "github.com/xinntao/facexlib" in message
    assert str(recognition) in message


def test_the_released_name_is_offered_where_there_is_no_file(comfy, recognition):
    assert comfy.nodes.faces.list_recognition() == [RELEASED]


def test_face_recognition_comes_first_in_the_list(comfy, recognition):
    for name in ("detection_Resnet50_Final.pth", "parsing_parsenet.pth", RELEASED):
        (recognition / name).touch()
    assert comfy.nodes.faces.list_recognition()[0] == RELEASED


def test_a_wrong_file_is_an_error_of_its_input(comfy, recognition):
    save_file({"x": torch.zeros(1)}, recognition / "other.safetensors")
    with pytest.raises(ValueError, match=r"recognition: other\.safetensors holds another model"):
        load(comfy, "other.safetensors")


def test_another_file_of_that_name_is_loaded_anew(comfy, recognition, small):
    node = comfy.nodes.faces.IDPatchLoadFaceModel
    before = node.fingerprint_inputs(small, "yunet")
    save_file({"x": torch.zeros(1)}, recognition / small)
    assert node.fingerprint_inputs(small, "yunet") != before


@torch.inference_mode()
def test_embeddings_are_those_of_the_reference(comfy, recognition):
    write_formula_weights(recognition / RELEASED)
    cases, photos = load_file(REFERENCE / "faces.safetensors"), ("exp_man.jpg", "exp_woman.jpg")
    crops = [cases[f"{name}.crop_bgr"].flip(-1).numpy() for name in photos]
    found = comfy.nodes.faces.encode_crops(load(comfy, RELEASED), crops)
    expected = torch.stack([cases[f"{name}.embedding"] for name in photos])
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_weights_kept_in_another_dtype_are_cast(comfy, face_model):
    crops = [photo("obama")[200:312, 200:312].copy()]
    exact = comfy.nodes.faces.encode_crops(face_model, crops)
    face_model.patcher.model.half()
    found = comfy.nodes.faces.encode_crops(face_model, crops)
    assert found.dtype == torch.float32
    assert 0 < abs(found - exact).max() < 1e-3


def test_a_new_name_encodes_no_one_again(comfy, face_model, monkeypatch):
    network, calls = face_model.patcher.model, []
    monkeypatch.setattr(
        network, "forward", lambda x: calls.append(x) or type(network).forward(network, x)
    )
    (first,), _ = encode(comfy, face_model, photo("obama"), name="Anna")
    (second,), _ = encode(comfy, face_model, photo("obama"), name="Berta")
    assert len(calls) == 1
    assert (first.name, second.name) == ("Anna", "Berta")
    assert torch.equal(first.embedding, second.embedding)


def test_damaged_weights_are_an_error(comfy, face_model):
    message = r"^face_model: small_arcface\.safetensors gives .* not of unit length"
    for value in (torch.nan, 3e38):
        face_model.patcher.model.output_layer[3].bias.fill_(value)
        with pytest.raises(ValueError, match=message):
            encode(comfy, face_model, photo("obama"))


@pytest.mark.parametrize(
    ("root", "packs"),
    [
        ("", ["antelopev2", "buffalo_l", "toy"]),  # the folder of insightface itself
        ("models", ["antelopev2"]),  # toy holds no file with a detector's name
        ("models/antelopev2", ["antelopev2"]),  # one pack
    ],
)
def test_model_packs_are_found_in_folders_of_extra_model_paths(comfy, tmp_path, root, packs):
    for file in (
        "inswapper_128.onnx",
        "other/GFPGANv1.4.onnx",
        "buffalo_l/det_10g.onnx",
        "models/antelopev2/scrfd_10g_bnkps.onnx",
        "models/toy/network.onnx",
        "models/empty/readme.txt",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    folder = add_folder("insightface", tmp_path / root)
    next(folder)
    found = comfy.nodes.detectors.insightface_directories()
    assert list(folder) == []
    assert sorted(found) == [f"insightface/{pack}" for pack in packs]
    assert found["insightface/antelopev2"] == tmp_path / "models" / "antelopev2"


def test_model_packs_of_insightface_are_offered(comfy, small, tmp_path):
    pytest.importorskip("insightface", reason="insightface is not installed, which is optional")
    pytest.importorskip("onnx", reason="onnx is not installed, which insightface needs")
    (tmp_path / "models" / "toy").mkdir(parents=True)
    write_detector(tmp_path / "models" / "toy" / "det_10g.onnx")
    (tmp_path / "models" / "empty").mkdir()
    folder = add_folder("insightface", tmp_path)
    next(folder)
    assert list(comfy.nodes.detectors.insightface_directories()) == ["insightface/toy"]
    face_model = load(comfy, small, "insightface/toy")
    assert list(folder) == []
    _, report = encode(comfy, face_model, np.zeros((640, 640, 3), np.uint8))
    assert [face["score"] for face in report["faces"]] == [pytest.approx(SCORE)]


def test_a_detector_that_is_gone_is_an_error(comfy, small):
    with pytest.raises(ValueError, match="detector: insightface/gone no longer exists"):
        load(comfy, small, "insightface/gone")


def test_one_person(comfy, face_model):
    (person,), report = encode(comfy, face_model, photo("obama"))
    assert person.name == "person 1"
    assert person.embedding.shape == (512,)
    assert person.embedding.norm().item() == pytest.approx(1)
    assert (person.crop.shape, person.crop.dtype) == ((112, 112, 3), np.uint8)
    assert report["warnings"] == []


def test_the_largest_face_is_used_with_a_warning(comfy, face_model, three, caplog):
    with caplog.at_level(logging.WARNING):
        (person,), report = encode(comfy, face_model, group(), name="Barack")
    assert same(person, three[2])
    (warning,) = report["warnings"]
    assert "image 1 of Barack (1200x500): 3 faces were found; the largest was used" in warning
    assert warning in caplog.text


def test_all_from_left_to_right(comfy, face_model):
    people, report = encode(comfy, face_model, group(), face="left_to_right", name="A, B, C")
    assert names(people) == ["A", "B", "C"]
    (alone,), _ = encode(comfy, face_model, photo("collins"))
    similarities = torch.stack([person.embedding for person in people]) @ alone.embedding
    assert similarities.argmax() == 1
    assert report["warnings"] == []


def test_all_with_the_largest_first(comfy, face_model, three):
    people, _ = encode(comfy, face_model, group(), face="all")
    assert all(same(a, b) for a, b in zip(people, (three[2], three[0], three[1]), strict=True))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_one_by_its_index_from_the_left(comfy, face_model, three, index):
    (person,), report = encode(comfy, face_model, group(), face="index", index=index)
    assert same(person, three[index])
    assert report["warnings"] == []


def test_an_index_that_does_not_exist_names_the_image(comfy, face_model):
    two = collage(556, 640, ("collins", 0, 0, 0.5), ("collins", 280, 300, 0.5))
    with pytest.raises(ValueError, match=r"image 2 \(556x640\): index: there is no face 1"):
        encode(comfy, face_model, two, photo("obama"), face="index", index=1)


def test_no_face_names_the_image(comfy, face_model):
    grey = np.full_like(photo("obama"), 128)
    with pytest.raises(ValueError, match=r"image: image 2 \(556x640\): no face was found"):
        encode(comfy, face_model, photo("obama"), grey)


def test_no_face_names_the_person(comfy, face_model):
    grey = np.full_like(photo("obama"), 128)
    with pytest.raises(ValueError, match=r"image: image 1 of Anna \(556x640\): no face was found"):
        encode(comfy, face_model, grey, name="Anna")
    with pytest.raises(ValueError, match=r"image: image 2 of Ben \(556x640\): no face was found"):
        encode(comfy, face_model, photo("obama"), grey, name="Anna, Ben", people="one_per_image")


def test_a_face_too_small_names_the_image_and_its_size(comfy, face_model):
    tiny = collage(300, 300, ("collins", 0, 0, 0.25))
    with pytest.raises(ValueError, match=r"image 1 \(300x300\): the face is \d+x\d+ pixels, too"):
        encode(comfy, face_model, tiny)
    assert len(encode(comfy, face_model, tiny, min_face_size=16)[0]) == 1


def test_small_faces_in_the_crowd_are_left_out_with_a_warning(comfy, face_model):
    crowd = collage(900, 640, ("obama", 0, 0, 1.0), ("collins", 650, 100, 0.25))
    people, report = encode(comfy, face_model, crowd, face="all")
    assert len(people) == 1
    assert "1 of 2 faces are smaller than min_face_size 32" in report["warnings"][0]


def test_several_images_of_one_person_are_averaged(comfy, face_model):
    images = [photo("obama"), photo("obama")[:, ::-1]]
    apart, _ = encode(comfy, face_model, *images, people="one_per_image")
    (person,), report = encode(comfy, face_model, *images, name="Barack", weights="1, 3")
    expected = average("Barack", apart, [1, 3])
    assert person.name == "Barack"
    assert person.embedding.numpy() == pytest.approx(expected.embedding.numpy(), abs=1e-6)
    assert not same(person, average("Barack", apart))
    assert [face["name"] for face in report["faces"]] == ["Barack", "Barack"]


def test_all_faces_of_several_images_are_not_one_person(comfy, face_model):
    with pytest.raises(ValueError, match="people: it is one_person, but face all"):
        encode(comfy, face_model, group(), group(), face="all", people="one_person")
    for people in ("one_per_image", "auto"):
        found, _ = encode(comfy, face_model, group(), group(), face="all", people=people)
        assert len(found) == 6


def encode_list(comfy, face_model, photos, **inputs):
    """Run the Face Encoder as ComfyUI runs it on a list of images; return the people."""
    images = [torch.from_numpy(pixels.copy())[None].float() / 255 for pixels in photos]
    values = {name: [value] for name, value in inputs.items()}
    node = comfy.nodes.faces.IDPatchFaceEncoder
    return node.execute(face_model=[face_model], image=images, **values).args[0]


def test_a_list_of_images_is_one_group_of_people(comfy, face_model):
    photos = [photo("obama"), photo("collins")[:500], photo("sunak")]
    people = encode_list(comfy, face_model, photos)
    assert names(people) == ["person 1", "person 2", "person 3"]
    for one, pixels in zip(people, photos, strict=True):
        assert same(one, encode(comfy, face_model, pixels)[0][0])
    assert names(encode_list(comfy, face_model, photos, name="A, B, C")) == ["A", "B", "C"]


def test_a_list_may_be_photos_of_one_person(comfy, face_model):
    photos = [photo("obama"), photo("obama")[:600, ::-1]]
    (person,) = encode_list(comfy, face_model, photos, people="one_person", name="Barack")
    apart = [encode(comfy, face_model, pixels)[0][0] for pixels in photos]
    assert person.name == "Barack"
    assert same(person, average("Barack", apart))


def test_a_list_of_names_is_joined_and_other_lists_are_refused(comfy, face_model):
    node, (one, two) = comfy.nodes.faces.IDPatchFaceEncoder, (photo("obama"), photo("collins"))
    images = [torch.from_numpy(pixels)[None].float() / 255 for pixels in (one, two)]
    inputs = {"face_model": [face_model], "image": images}
    assert names(node.execute(**inputs, name=["Barack", "Eileen"]).args[0]) == ["Barack", "Eileen"]
    with pytest.raises(ValueError, match="index: expected one value, got a list of 2"):
        node.execute(**inputs, index=[0, 1])
    with pytest.raises(ValueError, match="image: expected one value, got a list of 0"):
        node.execute(face_model=[face_model], image=[])


def test_weights_are_for_one_person(comfy, face_model):
    images = [photo("obama"), photo("obama")]
    with pytest.raises(ValueError, match="weights: they are for averaging"):
        encode(comfy, face_model, *images, people="one_per_image", weights="1,1")


def test_weights_that_are_no_numbers(comfy, face_model):
    with pytest.raises(ValueError, match="weights: expected numbers separated by commas, got 'x'"):
        encode(comfy, face_model, photo("obama"), weights="x")


def test_people_are_added_after_the_given_ones(comfy, face_model, three):
    people, report = encode(comfy, face_model, photo("obama"), identities=three)
    assert names(people) == ["person 1", "person 2", "person 3", "person 4"]
    assert all(same(a, b) for a, b in zip(people[:3], three, strict=True))
    assert [face["name"] for face in report["faces"]] == ["person 4"]


def test_a_name_in_use_is_numbered(comfy, face_model):
    first, _ = encode(comfy, face_model, photo("obama"), name="Barack")
    both, report = encode(comfy, face_model, photo("sunak"), name="Barack", identities=first)
    assert names(both) == ["Barack", "Barack 2"]
    assert report["faces"][0]["name"] == "Barack 2"


def test_the_token_strength_is_that_of_the_new_people(comfy, face_model, three):
    people, _ = encode(comfy, face_model, photo("obama"), identities=three, token_strength=0.35)
    assert [person.token_strength for person in people] == [1.0, 1.0, 1.0, 0.35]


def test_too_many_names_are_an_error(comfy, face_model):
    with pytest.raises(ValueError, match=r"name: got 2 names \(Anna, Bob\) for 1 person"):
        encode(comfy, face_model, photo("obama"), name="Anna, Bob")


def test_the_crops_lie_in_the_temporary_folder(comfy, face_model):
    import folder_paths
    from PIL import Image

    (person,), report = encode(comfy, face_model, photo("obama"))
    crop = report["faces"][0]["crop"]
    assert crop["type"] == "temp"
    saved = Image.open(Path(folder_paths.get_temp_directory(), crop["filename"]))
    assert (np.array(saved) == person.crop).all()
