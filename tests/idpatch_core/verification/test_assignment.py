import numpy as np
import pytest

from idpatch_core.verification.assignment import assign_faces, cosine, make_assignment


def test_cosine_ignores_the_length_of_embeddings():
    assert cosine([[3, 4]], [[4, 3], [-6, -8]]) == pytest.approx(np.array([[0.96, -1]]))


def test_cosine_of_nothing_has_no_rows():
    assert cosine(np.eye(2), np.zeros((0, 2))).shape == (2, 0)
    assert cosine(np.zeros((0, 2)), np.eye(2)).shape == (0, 2)


def test_cosine_refuses_an_embedding_without_direction():
    with pytest.raises(ValueError, match="zero"):
        cosine([[0, 0]], [[1, 0]])


@pytest.mark.parametrize(
    ("similarity", "face_indices", "message"),
    [
        ([0.5, 0.5], None, "people by faces"),
        ([[0.5, float("nan")]], None, "NaN"),
        ([[0.5], [0.5]], (0, 0), "different"),
        ([[0.5]], (1,), "below 1"),
        ([[0.5]], (0, None), "one entry for each person .1., got 2 and 1"),
    ],
)
def test_an_inconsistent_assignment(similarity, face_indices, message):
    with pytest.raises(ValueError, match=message):
        make_assignment(similarity, face_indices)


def box(x, y, half):
    return (x - half, y - half, x + half, y + half)


def test_every_face_is_assigned_to_its_nearest_point():
    noses = [(310, 100), (95, 104)]
    boxes = [box(*nose, 40) for nose in noses]
    assert assign_faces([(100, 100), (300, 100)], noses, boxes) == [1, 0]


def test_a_face_too_far_from_every_point_is_not_assigned():
    # Half the diagonal of an 80 x 80 box is 56.6 pixels.
    at = [assign_faces([(100, 100)], [(x, 100)], [box(x, 100, 40)]) for x in (156, 157)]
    assert at == [[0], [None]]


def test_a_small_face_may_be_half_a_patch_away():
    at = [assign_faces([(100, 100)], [(x, 100)], [box(x, 100, 5)]) for x in (132, 133)]
    assert at == [[0], [None]]


def test_as_many_points_as_possible_get_a_face():
    # The greedy choice (second face to first point, 10 px) would leave the second point alone.
    points, noses = [(100, 100), (150, 100)], [(60, 100), (110, 100)]
    boxes = [box(*nose, 40) for nose in noses]
    assert assign_faces(points, noses, boxes) == [0, 1]


def test_people_without_a_placement_get_no_face():
    assert assign_faces([None, (50, 50)], [(50, 50)], [box(50, 50, 9)]) == [None, 0]
    assert assign_faces([None], [(50, 50)], [box(50, 50, 9)]) == [None]
    assert assign_faces([(50, 50)], np.zeros((0, 2)), np.zeros((0, 4))) == [None]
