import numpy as np
import pytest
import torch

from idpatch_core.encode import FaceCrop, make_people, name_people, parse_names, parse_weights
from idpatch_core.face_detector import Face

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
