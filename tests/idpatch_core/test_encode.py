import numpy as np
import pytest
import torch

from idpatch_core.encode import (
    FaceCrop,
    crop_faces,
    make_people,
    name_people,
    parse_names,
    parse_weights,
    warn_of_same_face,
)
from idpatch_core.face_detector import Face
from idpatch_core.identity import Identity

FACE = Face((0, 0, 1, 1), np.zeros((5, 2), np.float32), 1.0)


def test_photos_that_hardly_resemble_each_other_are_a_warning():
    unit = torch.eye(512)
    crop = np.zeros((112, 112, 3), np.uint8)
    faces = [FaceCrop(number, FACE, crop) for number in (1, 2, 3)]
    embeddings = torch.stack([unit[0], (unit[0] + unit[1]) / 2**0.5, unit[2]])
    _, warnings = make_people(faces, embeddings, ["Anna"], 0, True, None)
    assert "image 1 and image 3 seem to show different people (similarity 0.00)" in warnings[0]
    _, warnings = make_people(faces[:2], embeddings[:2], [], 0, True, None)
    assert warnings == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["person 3", "person 4"]),
        ("Anna", ["Anna 1", "Anna 2"]),
        ("Anna, Bob", ["Anna", "Bob"]),
        ("Anna\nBob\n", ["Anna", "Bob"]),
    ],
)
def test_names(text, expected):
    assert name_people(parse_names(text), 2, 2) == expected


@pytest.mark.parametrize(("text", "expected"), [("", None), (" ", None), ("1, .5", [1, 0.5])])
def test_weights(text, expected):
    assert parse_weights(text) == expected


def test_one_face_given_for_two_people_is_a_warning_by_name():
    anna, other = torch.eye(512)[:2]
    near = torch.nn.functional.normalize(anna + 0.4 * other, dim=0)  # cosine 0.93
    people = [Identity("Anna", anna), Identity("Ben", other), Identity("Cleo", near)]
    (warning,) = warn_of_same_face(people, "image")
    assert warning.startswith("image: Anna and Cleo have the same face (similarity 0.93).")


class OneFace:
    """A detector that finds one face of 20 x 20 pixels."""

    def detect(self, image: np.ndarray) -> list[Face]:
        return [Face((0, 0, 20, 20), np.zeros((5, 2), np.float32), 0.9)]


@pytest.mark.parametrize(("side", "advice"), [(600, "Crop the original"), (200, "Use an image in")])
def test_a_tiny_face_in_a_huge_image_asks_for_a_crop(side, advice):
    image = np.zeros((side, side, 3), np.uint8)
    with pytest.raises(ValueError, match=f"image 4 .* too small for min_face_size 32. {advice}"):
        crop_faces(OneFace(), image, 4, "largest", 0, 32)
