import numpy as np
import pytest

from idpatch_core.pose_reader import read_pose_keypoint
from idpatch_core.poses import PRESETS, make_preset, make_standing, to_pose_keypoint
from idpatch_core.skeleton import find_head, find_heads


@pytest.mark.parametrize("count", range(1, 7))
@pytest.mark.parametrize(("width", "height"), [(1024, 1024), (1344, 768), (512, 1024)])
def test_all_people_are_inside_the_image(count, width, height):
    people = make_standing(count, width, height)
    assert people.shape == (count, 18, 3)
    assert people[..., 0].min() >= 0 and people[..., 0].max() <= width
    assert people[..., 1].min() >= 0 and people[..., 1].max() <= height


def test_people_stand_from_left_to_right_without_touching():
    people = make_standing(4, 1024, 1024)
    left, right = people[..., 0].min(axis=1), people[..., 0].max(axis=1)
    assert (right[:-1] < left[1:]).all()


def test_three_noses_are_where_a_group_photo_has_them():
    heads = [find_head(person) for person in make_standing(3, 1024, 1024)]
    points = [head.point for head in heads if head]
    assert [round(point.x) for point in points] == [171, 512, 853]
    # feet at 0.96 * 1024, people 0.88 * 1024 tall at most, nose 0.085 below the top
    assert points[0].y == pytest.approx(0.96 * 1024 - (1 - 0.085) * 0.88 * 1024)


def test_a_person_faces_the_camera():
    (person,) = make_standing(1, 512, 512)
    right_shoulder, left_shoulder = person[2, 0], person[5, 0]
    assert right_shoulder < left_shoulder


def test_pose_keypoint_reads_back_as_the_same_people():
    people = make_standing(2, 640, 512)
    (frame,) = read_pose_keypoint(to_pose_keypoint(people, 640, 512))
    assert (frame.width, frame.height) == (640, 512)
    np.testing.assert_allclose(frame.people, people)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(("width", "height"), [(1024, 1024), (1344, 768)])
def test_each_built_in_pose_shows_its_people(name: str, width: int, height: int):
    people = make_preset(name, width, height)
    assert people.shape == (int(name.rsplit("_", 1)[1]), 18, 3)
    heads, warnings = find_heads(people)
    assert warnings == []
    for head in heads:
        assert 0 <= head.point.x < width and 0 <= head.point.y < height


@pytest.mark.parametrize("name", ["two_rows_12", "arc_12", "standing_12", "hugging_6"])
def test_heads_are_apart(name: str):
    heads, _ = find_heads(make_preset(name, 1344, 768))
    points = np.array([head.point for head in heads])
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    assert distances[~np.eye(len(points), dtype=bool)].min() > 64


def test_the_middle_of_an_arc_is_farther_away():
    heads, _ = find_heads(make_preset("arc_7", 1024, 1024))
    eyes = [head.eye_distance or 0 for head in heads]
    assert heads[3].point.y < heads[0].point.y and eyes[3] < 0.95 * eyes[0]


def test_pairs_hug():
    left, right = make_preset("hugging_2", 1024, 1024)
    assert abs(left[7, 0] - right[5, 0]) < 0.1 * 1024  # the wrist at the other's far shoulder
    assert left[7, 0] > right[1, 0] > right[4, 0]
