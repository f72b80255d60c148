import numpy as np
import pytest

from idpatch_core.face_detector import Face
from idpatch_core.head_crops import CroppedHead
from idpatch_core.layout import Point
from idpatch_core.refine import (
    FaceCheck,
    Refinement,
    check_names_to_refine,
    choose_people,
    describe_refinements,
    is_better,
    is_right,
)

NAMES = ["Ann", "Bob", "Cleo"]
HEADS = [CroppedHead(Point(1, 1), 20.0), None, CroppedHead(Point(9, 9), 50.0)]


def choose(choice, wanted=(), share=0.1, right=()):
    return choose_people(choice, NAMES, HEADS, wanted, share, 1000, lambda person: person in right)


def test_the_largest_come_first_and_no_one_without_a_head():
    assert choose("all") == [2, 0]


def test_small_faces_are_narrower_than_their_share():
    assert choose("small_faces", share=0.1) == [0]  # 42 and 105 pixels of 1000
    assert choose("small_faces", share=0.2) == [2, 0]
    assert choose("small_faces", share=0.04) == []


def test_named_and_failed():
    assert choose("named", wanted=["Ann"]) == [0]
    assert choose("failed", right=[2]) == [0]
    assert choose("failed", right=[0, 2]) == []


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([], r"^names: it is empty.*Ann, Bob, Cleo"),
        (["Ann", "Zoe"], r"^names: Zoe is not one of 3 people \(Ann, Bob, Cleo\)"),
        (["Bob"], r"^names: Bob has no placement in id_hint"),
    ],
)
def test_names_that_cannot_be_refined(wanted, message):
    points = [Point(1, 1), None, Point(9, 9)]
    with pytest.raises(ValueError, match=message):
        check_names_to_refine(wanted, NAMES, points)
    check_names_to_refine(["Cleo", "Ann"], NAMES, points)


def test_better_is_more_similar_and_no_face_is_the_worst():
    assert is_better(0.5, 0.6)
    assert not is_better(0.5, 0.5)
    assert not is_better(0.5, 0.4)
    assert is_better(None, -0.2)
    assert not is_better(0.1, None)
    assert not is_better(None, None)


def test_right_is_the_most_similar_person():
    similarity = np.array([0.2, 0.4, 0.1])
    assert [is_right(similarity, person) for person in range(3)] == [False, True, False]
    assert not is_right(None, 1)


def make_face(x, y):
    keypoints = np.array([[-7, -8], [7, -8], [0, 0], [-6, 8], [6, 8]], np.float32)
    return Face((x - 15, y - 15, x + 15, y + 15), keypoints + np.float32([x, y]), 0.9)


def test_the_face_at_the_point_is_compared_and_no_other():
    faces = [make_face(40, 40), make_face(90, 40)]
    image = np.zeros((100, 140, 3), np.uint8)
    image[:, 65:] = 200

    def embed(crops):
        return np.array([[1.0, 0.0] if crop.mean() < 100 else [0.6, 0.8] for crop in crops])

    check = FaceCheck(lambda _: faces, embed, np.eye(2))
    np.testing.assert_allclose(check.compare(image, Point(42, 39)), [1, 0])
    np.testing.assert_allclose(check.compare(image, Point(91, 41)), [0.6, 0.8])
    assert check.compare(image, Point(65, 90)) is None


def test_the_report_names_each_person():
    kept = Refinement(0, "Ann", 0.5, 0.75, True)
    rejected = Refinement(1, "Bob", None, None, False)
    assert describe_refinements([kept], 1).splitlines() == [
        "1 person refined of 1 chosen.",
        "  Ann  0.500 -> 0.750  refined",
    ]
    lines = describe_refinements([kept, rejected], 2).splitlines()
    assert (
        lines[2] == "  Image 2, Bob  no face -> no face  kept as before: the new face is no better"
    )
    assert "No one was refined" in describe_refinements([], 1)
