import numpy as np
import pytest

from idpatch_core.pose_reader import read_pose_keypoint
from idpatch_core.poses import make_standing, to_pose_keypoint
from idpatch_core.skeleton import find_head


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
