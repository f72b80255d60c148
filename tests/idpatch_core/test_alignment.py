import numpy as np
import pytest
from face_weights import REFERENCE
from photos import photo
from safetensors.numpy import load_file

from idpatch_core.alignment import TEMPLATE, align_face, similarity_transform


def turned(points: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]):
    a = np.radians(degrees)
    matrix = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return points @ matrix.T + shift, matrix


def test_rotation_scale_and_translation_are_found():
    target, matrix = turned(TEMPLATE, 30, 2.5, (7, -3))
    found = similarity_transform(TEMPLATE, target)
    assert found[:, :2] == pytest.approx(matrix)
    assert found[:, 2] == pytest.approx([7, -3])


def test_the_transform_of_least_squares_is_that_of_complex_regression():
    # A similarity is z -> a z + b in the complex plane, so plain linear regression finds it too.
    source = TEMPLATE + np.random.default_rng(0).normal(0, 5, (5, 2))
    x, y = source @ [1, 1j], TEMPLATE @ [1, 1j]
    (a, b), *_ = np.linalg.lstsq(np.column_stack([x, np.ones(5)]), y)
    expected = [[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]]
    assert similarity_transform(source, TEMPLATE) == pytest.approx(np.array(expected))


def test_a_face_is_never_mirrored():
    mirrored = TEMPLATE * [-1, 1]
    assert np.linalg.det(similarity_transform(mirrored, TEMPLATE)[:, :2]) > 0


@pytest.mark.parametrize("name", ["exp_man.jpg", "exp_woman.jpg"])
def test_a_crop_is_within_one_grey_level_of_insightface(name):
    # The photographs may not be passed on, so their crops are set into an image where the
    # template turns them, and cut out again.
    crop = load_file(REFERENCE / "faces.safetensors")[f"{name}.crop_bgr"]
    image = np.zeros((400, 500, 3), np.uint8)
    image[100:324, 200:424] = crop.repeat(2, 0).repeat(2, 1)
    keypoints = (TEMPLATE * 2 + [200, 100]).astype(np.float32)
    found = align_face(image, keypoints).astype(int)
    assert abs(found - crop).max() <= 1


@pytest.mark.filterwarnings("ignore:`estimate` is deprecated:FutureWarning")
def test_crops_equal_those_of_insightface():
    reason = "insightface is not installed, which is compared with"
    face_align = pytest.importorskip("insightface.utils.face_align", reason=reason)
    image, rng = photo("obama"), np.random.default_rng(1)
    for degrees in (0, 20, -75, 180):
        points, _ = turned(TEMPLATE - 56, degrees, rng.uniform(0.5, 3), (280, 250))
        points = (points + rng.normal(0, 4, (5, 2))).astype(np.float32)
        expected = face_align.norm_crop(image, points).astype(int)
        assert abs(align_face(image, points).astype(int) - expected).max() <= 1


def test_where_the_image_ends_the_crop_is_black():
    white = np.full((112, 112, 3), 255, np.uint8)
    crop = align_face(white, TEMPLATE - [50, 0])
    assert crop[:, :49].max() == 0
    assert crop[:, 51:].min() == 255


def test_other_sizes_show_the_same():
    image = photo("obama")
    keypoints = TEMPLATE * 2 + [170, 130]
    large = align_face(image, keypoints, 224)
    assert large.shape == (224, 224, 3)
    assert (large == image[130:354, 170:394]).all()


def test_keypoints_in_one_place_are_an_error():
    with pytest.raises(ValueError, match="all of them are the same point"):
        align_face(photo("obama"), np.ones((5, 2)))


def test_keypoints_that_are_no_numbers_are_an_error():
    with pytest.raises(ValueError, match="finite"):
        align_face(photo("obama"), np.full((5, 2), np.nan))
