import hashlib
import subprocess
import sys

import numpy as np
import pytest
from photos import collage, photo
from PIL import Image, ImageFilter
from scorers import fetch_recogniser
from scrfd import BOX, KEYPOINTS, SCORE, write_detector, write_other_network

from idpatch_core.alignment import align_face
from idpatch_core.face_detector import (
    YUNET_FILE,
    Face,
    InsightFace,
    YuNet,
    choose_faces,
    load_detector,
    remove_duplicates,
    sort_left_to_right,
)
from idpatch_core.verification.scorer import load_scorer

# By eye: pupils, tip of the nose, corners of the mouth in obama.jpg (556x640).
OBAMA = np.array([[244, 242], [328, 234], [286, 284], [242, 328], [336, 318]])


def face(left: float, size: float = 100, score: float = 0.9) -> Face:
    box = (left, 0.0, left + size, size)
    return Face(box, np.full((5, 2), left + size / 2, np.float32), score)


def test_the_model_is_the_one_that_the_readme_names():
    digest = hashlib.sha256(YUNET_FILE.read_bytes()).hexdigest()
    assert digest in (YUNET_FILE.parent / "README.md").read_text()


def test_yunet_finds_the_keypoints_in_their_order():
    (found,) = YuNet().detect(photo("obama"))
    assert found.keypoints == pytest.approx(OBAMA, abs=12)
    assert found.keypoints.dtype == np.float32
    assert found.score > 0.9


def test_the_box_holds_the_keypoints():
    (found,) = YuNet().detect(photo("sunak"))
    left, top, right, bottom = found.box
    x, y = found.keypoints.T
    assert left < x.min() < x.max() < right
    assert top < y.min() < y.max() < bottom
    assert found.size == (right - left, bottom - top)


@pytest.mark.parametrize("scale", [0.3, 0.5, 4, 8])
def test_large_and_small_images_give_the_same_face_in_their_own_pixels(scale):
    image = collage(round(556 * scale), round(640 * scale), ("obama", 0, 0, scale))
    (found,) = YuNet().detect(image)
    assert found.keypoints / scale == pytest.approx(OBAMA, abs=12)


def test_a_face_that_fills_a_large_image_is_found():
    close = photo("macron_2025")[130:400, 160:355].repeat(8, 0).repeat(8, 1)
    assert [found.score > 0.9 for found in YuNet().detect(close)] == [True]


def test_the_largest_face_comes_first_wherever_it_is():
    image = collage(900, 700, ("collins", 0, 0, 0.5), ("obama", 300, 50, 1.0))
    found = YuNet().detect(image)
    assert len(found) == 2
    assert found[0].area > found[1].area
    assert found[0].keypoints[2] == pytest.approx(OBAMA[2] + [300, 50], abs=12)


def test_a_false_face_beside_a_good_one_is_dropped_though_it_is_larger():
    # YuNet takes this blot for a face about as much as it does some tiles or flames.
    blot = np.array(Image.fromarray(photo("obama")).filter(ImageFilter.GaussianBlur(25)))
    (alone,) = YuNet().detect(blot)
    both = np.hstack([blot, collage(120, 640, ("macron_2014", 0, 20, 0.6))])
    (found,) = YuNet().detect(both)
    assert found.box[0] > blot.shape[1]
    assert found.area < alone.area


def test_the_same_person_beats_all_others_with_an_independent_recogniser():
    names = ["macron_2014", "macron_2025", "ardern_2018", "ardern_2022"]
    names += ["obama", "sunak", "collins"]
    yunet = YuNet()
    crops = [align_face(photo(n), yunet.detect(photo(n))[0].keypoints) for n in names]
    embeddings = load_scorer(fetch_recogniser()).embed(np.stack(crops))
    cosines = embeddings @ embeddings.T
    same = [cosines[0, 1], cosines[2, 3]]
    different = np.delete(cosines[np.triu_indices(len(names), 1)], [0, 11])
    assert len(different) == 19
    assert min(same) > 0.5
    assert max(different) < 0.25


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 3, 3), (1, 3000, 3), (200, 300, 3)])
def test_a_image_without_a_face_gives_none(shape):
    assert YuNet().detect(np.full(shape, 90, np.uint8)) == []


@pytest.mark.parametrize("image", [np.zeros((9, 9)), np.zeros((9, 9, 3)), np.zeros((0, 9, 3))])
def test_other_arrays_are_an_error(image):
    with pytest.raises(ValueError, match=r"image: expected \(H, W, 3\) uint8 RGB"):
        YuNet().detect(image)


def test_choosing_faces():
    faces = [face(200, 100), face(0, 80), face(400, 60)]
    assert choose_faces(faces, "largest") == [faces[0]]
    assert choose_faces(faces, "left_to_right") == [faces[1], faces[0], faces[2]]
    assert choose_faces(faces, "index", 2) == [faces[2]]
    assert choose_faces(reversed(faces), "all") == faces
    assert sort_left_to_right(faces)[0] is faces[1]


def test_choosing_a_face_that_is_not_there():
    with pytest.raises(ValueError, match="index: there is no face 1, 1 found"):
        choose_faces([face(0)], "index", 1)


def test_choosing_in_an_unknown_way():
    with pytest.raises(ValueError, match="face: expected one of largest"):
        choose_faces([face(0)], "smallest")


def test_of_two_boxes_on_one_face_the_better_is_kept():
    faces = [face(0, score=0.8), face(10, score=0.9), face(90, score=0.7)]
    assert remove_duplicates(faces) == [faces[1], faces[2]]


def test_without_opencv_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match="pip install opencv-python-headless"):
        load_detector("yunet")


@pytest.fixture
def model_pack(tmp_path):
    """A directory of ONNX files as insightface has them."""
    for module in ("insightface", "onnx", "onnxruntime"):
        pytest.importorskip(module, reason=f"{module} is not installed, the optional detector")
    write_detector(tmp_path / "det_10g.onnx")
    write_other_network(tmp_path / "w600k_r50.onnx")
    return tmp_path


def test_insightface_gives_the_box_and_keypoints_of_the_network(model_pack):
    (found,) = load_detector(model_pack).detect(np.zeros((640, 640, 3), np.uint8))
    assert found.box == pytest.approx(BOX)
    assert found.keypoints == pytest.approx(np.array(KEYPOINTS))
    assert found.score == pytest.approx(SCORE)


def test_insightface_gives_them_in_pixels_of_the_image(model_pack):
    (found,) = InsightFace(model_pack).detect(np.zeros((960, 1280, 3), np.uint8))
    assert found.box == pytest.approx([2 * side for side in BOX])
    assert found.keypoints == pytest.approx(2 * np.array(KEYPOINTS))


def test_insightface_gets_the_colours_as_they_are(model_pack):
    red = np.zeros((640, 640, 3), np.uint8)
    red[..., 0] = 255
    assert len(InsightFace(model_pack).detect(red)) == 1
    assert InsightFace(model_pack).detect(np.ascontiguousarray(red[..., ::-1])) == []


def test_insightface_runs_on_what_onnxruntime_has(model_pack):
    detector = InsightFace(model_pack, ["TensorrtExecutionProvider", "CPUExecutionProvider"])
    assert detector._network.session.get_providers() == ["CPUExecutionProvider"]


def test_insightface_downloads_nothing_into_an_empty_directory(tmp_path):
    with pytest.raises(ValueError, match=r"detector: there are no \.onnx files"):
        InsightFace(tmp_path / "antelopev2")


def test_a_model_pack_without_a_detector_is_an_error(model_pack):
    (model_pack / "det_10g.onnx").unlink()
    with pytest.raises(ValueError, match=r"none of the \.onnx files in .* detects faces"):
        InsightFace(model_pack)


def test_a_damaged_model_pack_is_an_error(model_pack):
    (model_pack / "det_10g.onnx").write_bytes(b"not a network")
    with pytest.raises(ValueError, match="detector: insightface cannot load"):
        InsightFace(model_pack)


@pytest.mark.parametrize("module", ["insightface.app", "onnxruntime"])
def test_without_insightface_the_error_says_what_to_install(monkeypatch, tmp_path, module):
    (tmp_path / "det.onnx").touch()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install .*insightface.* onnxruntime"):
        InsightFace(tmp_path)


def test_importing_the_face_modules_imports_no_detector():
    modules = "face_detector, alignment, arcface, identity"
    heavy = "{'cv2', 'insightface', 'onnxruntime'}"
    code = f"import sys; from idpatch_core import {modules}; print({heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "set()"
