import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from face_weights import REFERENCE, formula_state, write_formula_weights
from photos import collage, photo
from safetensors.torch import load_file, save_file
from scrfd import SCORE, write_detector

from idpatch_core.arcface import IRSE50
from idpatch_core.identity import average

RELEASED = "recognition_arcface_ir_se50.pth"


def add_folder(name: str, path: Path):
    """Search a folder for a kind of model, first of all, as long as the fixture lives."""
    import folder_paths

    places = folder_paths.folder_names_and_paths[name][0]
    places.insert(0, str(path))
    folder_paths.filename_list_cache.pop(name, None)
    yield path
    places.remove(str(path))
    folder_paths.filename_list_cache.pop(name, None)


@pytest.fixture
def recognition(comfy, tmp_path):
    """A folder for face recognition, empty."""
    yield from add_folder("facexlib", tmp_path)


@pytest.fixture
def small(recognition):
    """A small network of IR-SE50's kind, which gives as many numbers."""
    with torch.device("meta"):
        state = IRSE50(((8, 8), (8, 16), (16, 32), (32, 32)), 512).state_dict()
    shapes = {name: list(tensor.shape) for name, tensor in state.items()}
    save_file(formula_state(shapes), recognition / "small_arcface.safetensors")
    return "small_arcface.safetensors"


@pytest.fixture
def face_model(comfy, small):
    return load(comfy, small)


@torch.inference_mode()
def load(comfy, recognition, detector="YuNet"):
    return comfy.nodes.faces.IDPatchLoadFaceModel.execute(recognition, detector).args[0]


@torch.inference_mode()
def encode(comfy, face_model, *pictures, **inputs):
    """Return the identities and what the node shows."""
    image = torch.from_numpy(np.stack(pictures)).float() / 255
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
    return encode(comfy, face_model, group(), face="left to right")[0]


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
    before = node.fingerprint_inputs(small, "YuNet")
    save_file({"x": torch.zeros(1)}, recognition / small)
    assert node.fingerprint_inputs(small, "YuNet") != before


@torch.inference_mode()
def test_embeddings_are_those_of_the_reference(comfy, recognition):
    write_formula_weights(recognition / RELEASED)
    cases, photos = load_file(REFERENCE / "faces.safetensors"), ("exp_man.jpg", "exp_woman.jpg")
    crops = [cases[f"{name}.crop_bgr"].flip(-1) for name in photos]
    found = comfy.nodes.faces.embed_faces(load(comfy, RELEASED), crops)
    expected = torch.stack([cases[f"{name}.embedding"] for name in photos])
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_weights_kept_in_another_dtype_are_cast(comfy, face_model):
    crops = [torch.from_numpy(photo("obama")[200:312, 200:312].copy())]
    exact = comfy.nodes.faces.embed_faces(face_model, crops)
    face_model.patcher.model.half()
    found = comfy.nodes.faces.embed_faces(face_model, crops)
    assert found.dtype == torch.float32
    assert 0 < abs(found - exact).max() < 1e-3


def test_damaged_weights_are_an_error(comfy, face_model):
    face_model.patcher.model.output_layer[3].bias.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"face_model: small_arcface\.safetensors gives .* NaN"):
        encode(comfy, face_model, photo("obama"))


def test_model_packs_of_insightface_are_offered(comfy, small, tmp_path):
    pytest.importorskip("insightface", reason="insightface is not installed, which is optional")
    pytest.importorskip("onnx", reason="onnx is not installed, which insightface needs")
    (tmp_path / "models" / "toy").mkdir(parents=True)
    write_detector(tmp_path / "models" / "toy" / "det_10g.onnx")
    (tmp_path / "models" / "empty").mkdir()
    folder = add_folder("insightface", tmp_path)
    next(folder)
    assert list(comfy.nodes.faces.insightface_directories()) == ["insightface: toy"]
    face_model = load(comfy, small, "insightface: toy")
    assert list(folder) == []
    _, shown = encode(comfy, face_model, np.zeros((640, 640, 3), np.uint8))
    assert [face["score"] for face in shown["faces"]] == [pytest.approx(SCORE)]


def test_a_detector_that_is_gone_is_an_error(comfy, small):
    with pytest.raises(ValueError, match="detector: insightface: gone is not there any more"):
        load(comfy, small, "insightface: gone")


def test_one_person(comfy, face_model):
    (person,), shown = encode(comfy, face_model, photo("obama"))
    assert person.name == "person 1"
    assert person.embedding.shape == (512,)
    assert person.embedding.norm().item() == pytest.approx(1)
    assert (person.crop.shape, person.crop.dtype) == ((112, 112, 3), torch.uint8)
    assert shown["warnings"] == []


def test_the_largest_face_is_taken_and_said(comfy, face_model, three, caplog):
    with caplog.at_level(logging.WARNING):
        (person,), shown = encode(comfy, face_model, group(), name="Barack")
    assert same(person, three[2])
    (warning,) = shown["warnings"]
    assert "picture 1 (1200x500): 3 faces were found; the largest was taken" in warning
    assert warning in caplog.text


def test_everybody_from_left_to_right(comfy, face_model):
    people, shown = encode(comfy, face_model, group(), face="left to right", name="A, B, C")
    assert names(people) == ["A", "B", "C"]
    (alone,), _ = encode(comfy, face_model, photo("collins"))
    likeness = torch.stack([person.embedding for person in people]) @ alone.embedding
    assert likeness.argmax() == 1
    assert shown["warnings"] == []


def test_all_with_the_largest_first(comfy, face_model, three):
    people, _ = encode(comfy, face_model, group(), face="all")
    assert all(same(a, b) for a, b in zip(people, (three[2], three[0], three[1]), strict=True))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_one_by_its_index_from_the_left(comfy, face_model, three, index):
    (person,), shown = encode(comfy, face_model, group(), face="index", index=index)
    assert same(person, three[index])
    assert shown["warnings"] == []


def test_an_index_that_is_not_there_names_the_picture(comfy, face_model):
    two = collage(556, 640, ("collins", 0, 0, 0.5), ("collins", 280, 300, 0.5))
    with pytest.raises(ValueError, match=r"picture 2 \(556x640\): index: there is no face 1"):
        encode(comfy, face_model, two, photo("obama"), face="index", index=1)


def test_no_face_names_the_picture(comfy, face_model):
    grey = np.full_like(photo("obama"), 128)
    with pytest.raises(ValueError, match=r"image: picture 2 \(556x640\): no face was found"):
        encode(comfy, face_model, photo("obama"), grey)


def test_a_face_too_small_names_the_picture_and_its_size(comfy, face_model):
    tiny = collage(300, 300, ("collins", 0, 0, 0.25))
    with pytest.raises(ValueError, match=r"picture 1 \(300x300\): the face is \d+x\d+ pixels, too"):
        encode(comfy, face_model, tiny)
    assert len(encode(comfy, face_model, tiny, min_face_size=16)[0]) == 1


def test_small_faces_in_the_crowd_are_left_out_and_said(comfy, face_model):
    crowd = collage(900, 640, ("obama", 0, 0, 1.0), ("collins", 650, 100, 0.25))
    people, shown = encode(comfy, face_model, crowd, face="all")
    assert len(people) == 1
    assert "1 of 2 faces are smaller than min_face_size 32" in shown["warnings"][0]


def test_several_pictures_of_one_person_are_averaged(comfy, face_model):
    pictures = [photo("obama"), photo("obama")[:, ::-1]]
    apart, _ = encode(comfy, face_model, *pictures, people="one per picture")
    (person,), shown = encode(comfy, face_model, *pictures, name="Barack", weights="1, 3")
    expected = average("Barack", apart, [1, 3])
    assert person.name == "Barack"
    assert person.embedding.numpy() == pytest.approx(expected.embedding.numpy(), abs=1e-6)
    assert not same(person, average("Barack", apart))
    assert [face["name"] for face in shown["faces"]] == ["Barack", "Barack"]


def test_pictures_that_hardly_are_one_person_are_said(comfy):
    unit = torch.eye(512)
    crop = torch.zeros(112, 112, 3, dtype=torch.uint8)
    faces = [comfy.nodes.faces.FaceCrop(number, None, crop) for number in (1, 2, 3)]
    embeddings = torch.stack([unit[0], (unit[0] + unit[1]) / 2**0.5, unit[2]])
    _, warnings = comfy.nodes.faces.make_people(faces, embeddings, ["Anna"], 0, True, None)
    assert "picture 1 and picture 3 look like different people (similarity 0.00)" in warnings[0]
    _, warnings = comfy.nodes.faces.make_people(faces[:2], embeddings[:2], [], 0, True, None)
    assert warnings == []


def test_everybody_in_several_pictures_is_not_one_person(comfy, face_model):
    with pytest.raises(ValueError, match="people: it is 'one person', but face: all"):
        encode(comfy, face_model, group(), group(), face="all")
    people, _ = encode(comfy, face_model, group(), group(), face="all", people="one per picture")
    assert len(people) == 6


def test_weights_are_for_one_person(comfy, face_model):
    pictures = [photo("obama"), photo("obama")]
    with pytest.raises(ValueError, match="weights: they are for averaging"):
        encode(comfy, face_model, *pictures, people="one per picture", weights="1,1")


def test_weights_that_are_no_numbers(comfy, face_model):
    with pytest.raises(ValueError, match="weights: expected numbers separated by commas, got 'x'"):
        encode(comfy, face_model, photo("obama"), weights="x")


def test_people_are_added_after_those_that_are_there(comfy, face_model, three):
    people, shown = encode(comfy, face_model, photo("obama"), identities=three)
    assert names(people) == ["person 1", "person 2", "person 3", "person 4"]
    assert all(same(a, b) for a, b in zip(people[:3], three, strict=True))
    assert [face["name"] for face in shown["faces"]] == ["person 4"]


def test_a_name_that_is_taken_is_numbered(comfy, face_model):
    first, _ = encode(comfy, face_model, photo("obama"), name="Barack")
    both, shown = encode(comfy, face_model, photo("sunak"), name="Barack", identities=first)
    assert names(both) == ["Barack", "Barack 2"]
    assert shown["faces"][0]["name"] == "Barack 2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["person 3", "person 4"]),
        ("Anna", ["Anna 1", "Anna 2"]),
        ("Anna, Bob", ["Anna", "Bob"]),
        ("Anna\nBob\n", ["Anna", "Bob"]),
    ],
)
def test_names(comfy, text, expected):
    faces = comfy.nodes.faces
    assert faces.name_people(faces.parse_names(text), 2, 2) == expected


def test_too_many_names_are_an_error(comfy, face_model):
    with pytest.raises(ValueError, match=r"name: got 2 names \(Anna, Bob\) for 1 people"):
        encode(comfy, face_model, photo("obama"), name="Anna, Bob")


def test_the_crops_lie_in_the_temporary_folder(comfy, face_model):
    import folder_paths
    from PIL import Image

    (person,), shown = encode(comfy, face_model, photo("obama"))
    crop = shown["faces"][0]["crop"]
    assert crop["type"] == "temp"
    saved = Image.open(Path(folder_paths.get_temp_directory(), crop["filename"]))
    assert (np.array(saved) == person.crop.numpy()).all()


def test_pictures_with_alpha_or_in_grey_are_read(comfy):
    read = comfy.nodes.faces.read_pictures
    alpha = torch.rand(2, 4, 5, 4)
    assert (read(alpha)[1] == (alpha[1, ..., :3] * 255).round().byte().numpy()).all()
    assert read(torch.ones(1, 4, 5, 1))[0].tolist() == np.full((4, 5, 3), 255).tolist()


def test_what_is_no_picture_is_an_error(comfy):
    with pytest.raises(ValueError, match=r"image: expected pictures \(N, H, W, 3\)"):
        comfy.nodes.faces.read_pictures(torch.zeros(0, 4, 5, 3))
