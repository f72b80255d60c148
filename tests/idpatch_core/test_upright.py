from pathlib import Path

import numpy as np
import pytest
from photos import PHOTOS, collage, cover_half, photo
from PIL import Image
from scorers import fetch_recogniser

import idpatch_core
from idpatch_core.alignment import align_face, roll_of, share_outside
from idpatch_core.encode import CLEAR_SCORE, crop_faces, warn_about_crops
from idpatch_core.face_detector import LARGEST_FACE, YUNET_FILE, YuNet
from idpatch_core.upright import detect_people, detect_turned, make_upright, turn, turn_back
from idpatch_core.verification.scorer import load_scorer

DEMO = Path(idpatch_core.__file__).parent / "demo"
PORTRAITS = DEMO / "portraits"
NAMES = sorted(path.stem for path in PHOTOS.glob("*.jpg"))


def crop(image: np.ndarray) -> np.ndarray:
    ((found,), _) = crop_faces(YuNet(), image, 1, LARGEST_FACE, 0, 32)
    return found.crop


@pytest.fixture(scope="module")
def embed():
    return load_scorer(fetch_recogniser()).embed


@pytest.mark.parametrize("name", NAMES)
def test_an_upright_photo_gives_the_detector_s_own_crop(name):
    image = photo(name)
    assert (crop(image) == align_face(image, YuNet().detect(image)[0].keypoints)).all()


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("name", NAMES)
def test_a_turned_photo_shows_the_same_person_upright(embed, name, degrees):
    image = photo(name)
    upright, turned = embed(np.stack([crop(image), crop(turn(image, degrees))]))
    assert upright @ turned > 0.85


@pytest.mark.parametrize("degrees", [45, 60, 135, 225, 315])
def test_a_face_at_any_angle_is_turned_upright(embed, degrees):
    image = Image.fromarray(photo("sunak"))
    turned = np.array(image.rotate(degrees, resample=Image.Resampling.BICUBIC, expand=True))
    a, b = embed(np.stack([crop(photo("sunak")), crop(turned)]))
    assert a @ b > 0.85


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_points_are_those_of_the_image_as_given(degrees):
    image = np.random.default_rng(0).integers(0, 255, (40, 70, 3), np.uint8)
    (face,) = YuNet().detect(photo("obama"))
    face = face._replace(keypoints=np.array([(3, 7)] * 5, np.float32), box=(1, 2, 5, 9))
    back = turn_back(face, degrees, image)
    x, y = back.keypoints[0].astype(int)
    assert (image[y, x] == turn(image, degrees)[7, 3]).all()
    assert back.box[0] < x < back.box[2] and back.box[1] < y < back.box[3]


def test_the_upright_people_of_a_group_stay_as_they_are():
    image = collage(1200, 500, ("sunak", 0, 0, 0.6), ("collins", 330, 0, 0.9))
    image[:, 800:] = collage(400, 500, ("obama", 0, 0, 0.7))[::-1, ::-1]
    yunet = YuNet()
    found = sorted(detect_turned(yunet, image), key=lambda face: face.box[0])
    upright = [make_upright(yunet, image, face) for face in found]
    assert [a is b for a, b in zip(found, upright, strict=True)] == [True, True, False]
    assert abs(roll_of(upright[2].keypoints)) > 165


class CountingYuNet(YuNet):
    """Counts the images that it is given."""

    images = 0

    def detect(self, image):
        self.images += 1
        return super().detect(image)


def check_unchanged(image: np.ndarray, people: int) -> int:
    """Check that the faces are the detector's own; return how many images it searched."""
    plain, detector = YuNet().detect(image), CountingYuNet()
    found = detect_people(detector, image, people)
    assert [face.box for face in found] == [face.box for face in plain]
    for face, expected in zip(found, plain, strict=True):
        np.testing.assert_array_equal(face.keypoints, expected.keypoints)
    return detector.images


@pytest.mark.parametrize("people", [0, 1, 2, 3])
def test_faces_that_need_no_turn_stay_as_they_are(people):
    image = collage(900, 500, ("sunak", 0, 0, 0.6), ("collins", 330, 0, 0.9))
    assert (check_unchanged(image, people) == 1) == (people <= 2)


@pytest.mark.parametrize("portrait", sorted(PORTRAITS.glob("*.png")), ids=lambda path: path.stem)
def test_drawn_faces_stay_as_they_are(portrait):
    check_unchanged(np.array(Image.open(portrait).convert("RGB")), 1)


@pytest.mark.parametrize(
    "file", [YUNET_FILE, DEMO / "models" / "detector.onnx"], ids=["yunet", "demo"]
)
@pytest.mark.parametrize("portrait", sorted(PORTRAITS.glob("*.png")), ids=lambda path: path.stem)
def test_an_upright_portrait_is_not_turned(portrait, file):
    image, detector = np.array(Image.open(portrait).convert("RGB")), YuNet(file=file)
    (face,) = detect_turned(detector, image)
    assert make_upright(detector, image, face) is face
    assert abs(roll_of(face.keypoints)) < 15


@pytest.mark.parametrize("half", ["left", "right", "eyes"])
@pytest.mark.parametrize("name", NAMES)
def test_a_half_covered_face_is_not_turned(name, half):
    image, yunet = cover_half(photo(name), half), YuNet()
    (found,), _ = crop_faces(yunet, image, 1, LARGEST_FACE, 0, 32)
    assert abs(roll_of(found.face.keypoints)) < 15
    (warning,) = warn_about_crops([found], ["Anna"]) or [""]
    assert found.is_clear == (not warning) == (found.face.score >= CLEAR_SCORE)
    assert found.is_clear or "the face of Anna in image 1 seems to be partly covered" in warning


def test_most_half_covered_faces_are_warned_about_and_no_whole_one():
    yunet = YuNet()

    def is_clear(image: np.ndarray) -> bool:
        (found,), _ = crop_faces(yunet, image, 1, LARGEST_FACE, 0, 32)
        return found.is_clear

    halves = [is_clear(cover_half(photo(n), half)) for n in NAMES for half in ("left", "right")]
    assert halves.count(False) >= 0.75 * len(halves)
    for name in NAMES:
        image = Image.fromarray(photo(name))
        half = image.resize((image.width // 2, image.height // 2))
        assert is_clear(photo(name)) and is_clear(np.array(half))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_face_beside_an_upright_one_has_its_place_in_the_image(embed, degrees):
    image = collage(900, 560, ("sunak", 0, 0, 0.6))
    part = turn(collage(400, 400, ("obama", 0, -40, 0.7)), degrees)
    image[100:500, 450:850] = part
    found = detect_people(YuNet(), image, 2)
    left, right = sorted(found, key=lambda face: face.box[0])
    assert 450 < right.nose[0] < 850 and 100 < right.nose[1] < 500
    assert right.box[0] < right.nose[0] < right.box[2]
    assert right.box[1] < right.nose[1] < right.box[3]
    crops = [align_face(image, face.keypoints) for face in (left, right)]
    sunak, obama = embed(np.stack([crop(photo("sunak")), crop(photo("obama"))]))
    a, b = embed(np.stack(crops))
    assert a @ sunak > 0.85 and b @ obama > 0.85


def test_a_turned_and_a_cut_face_are_warned_about_by_name():
    image = photo("obama")
    whole, _ = crop_faces(YuNet(), image, 1, LARGEST_FACE, 0, 32)
    assert warn_about_crops(whole, ["Anna"]) == []
    turned, _ = crop_faces(YuNet(), turn(image, 180), 2, LARGEST_FACE, 0, 32)
    (warning,) = warn_about_crops(turned, ["Anna"])
    assert "the face of Anna in image 2 is turned by 17" in warning
    nose = int(whole[0].face.nose[0])
    cut, _ = crop_faces(YuNet(), image[:, nose:].copy(), 3, LARGEST_FACE, 0, 32)
    (warning,) = warn_about_crops(cut, ["Bob"])
    assert "the face of Bob in image 3 is cut off: 4" in warning


def test_the_share_of_a_crop_outside_the_image():
    (face,) = YuNet().detect(photo("obama"))
    black = align_face(np.full_like(photo("obama"), 255)[:, 280:].copy(), face.keypoints - [280, 0])
    outside = share_outside((276, 640), face.keypoints - [280, 0])
    assert outside == pytest.approx((black == 0).all(axis=2).mean(), abs=0.02)
    assert share_outside((556, 640), face.keypoints) == 0
