from pathlib import Path

import numpy as np
import pytest
from openpose import person
from safetensors.numpy import load_file

from idpatch_core.skeleton import (
    coco17_to_openpose18,
    draw_openpose,
    find_head,
)

REFERENCE = load_file(Path(__file__).parents[1] / "data" / "reference" / "faces.safetensors")


def test_drawing_equals_the_reference():
    people = coco17_to_openpose18(REFERENCE["pose.keypoints"], REFERENCE["pose.scores"])
    expected = REFERENCE["pose.image_rgb"]
    drawn = draw_openpose(people, expected.shape[1], expected.shape[0])
    assert drawn.dtype == np.uint8
    assert (drawn == expected).all(axis=-1).mean() > 0.9999


@pytest.mark.parametrize(
    "hip, knee",
    [
        ((20.7, 30.2), (150.4, 171.9)),
        ((150.4, 20.1), (140.9, 190.0)),
        ((10.0, 100.9), (190.0, 90.3)),
        ((100.0, 50.0), (100.0, 55.0)),
        ((-30.5, 180.5), (120.5, 230.5)),
    ],
)
def test_a_limb_equals_opencv(hip: tuple[float, float], knee: tuple[float, float]):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    (x0, y0), (x1, y1) = hip, knee
    circles = np.zeros((200, 200, 3), np.uint8)
    cv2.circle(circles, (int(x0), int(y0)), 4, (0, 255, 170), -1)
    cv2.circle(circles, (int(x1), int(y1)), 4, (0, 255, 255), -1)
    centre, half = (int((x0 + x1) / 2), int((y0 + y1) / 2)), int(np.hypot(x1 - x0, y1 - y0) / 2)
    turn = int(np.degrees(np.arctan2(y0 - y1, x0 - x1)))
    sticks = circles.copy()
    polygon = cv2.ellipse2Poly(centre, (half, 4), turn, 0, 360, 1)
    cv2.fillConvexPoly(sticks, polygon, (0, 255, 85))
    expected = cv2.addWeighted(circles, 0.4, sticks, 0.6, 0)

    drawn = draw_openpose(person(r_hip=(*hip, 1), r_knee=(*knee, 1))[None], 200, 200)
    assert (drawn != expected).any(axis=-1).sum() <= 2


def test_joints_that_are_no_limb_are_not_drawn():
    assert not draw_openpose(person(l_wrist=(9, 9, 1), r_hip=(40, 9, 1))[None], 64, 64).any()


def test_limbs_need_both_ends_above_the_threshold():
    seen, unsure = (50.0, 50.0, 0.31), (90.0, 50.0, 0.3)
    assert not draw_openpose(person(neck=seen, nose=unsure)[None], 200, 100).any()
    assert draw_openpose(person(neck=seen, nose=(90, 50, 0.31))[None], 200, 100).any()


def test_no_people_are_a_black_image():
    drawn = draw_openpose(np.zeros((0, 18, 3)), 264, 200)
    assert drawn.shape == (200, 264, 3)
    assert not drawn.any()


def test_coco_becomes_openpose_with_a_neck():
    keypoints = np.stack([np.arange(17.0), np.arange(17.0) * 10], axis=-1)[None]
    scores = np.linspace(0.1, 0.9, 17)[None]
    people = coco17_to_openpose18(keypoints, scores)
    order = [0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
    for joint, coco in enumerate(order):
        if coco is not None:
            assert people[0, joint].tolist() == [coco, coco * 10, scores[0, coco]]
    assert people[0, 1].tolist() == [5.5, 55.0, scores[0, 5]]


@pytest.mark.parametrize(
    "seen, expected",
    [
        ({"nose": (10, 20, 0.9), "r_eye": (90, 90, 1)}, (10, 20)),
        ({"nose": (10, 20, 0.2), "r_eye": (30, 40, 1), "l_eye": (50, 44, 1)}, (40, 42)),
        ({"nose": (10, 20, 0.2), "l_eye": (50, 44, 1)}, (50, 44)),
        ({"r_ear": (30, 40, 1), "l_ear": (60, 40, 1)}, (45, 40)),
        ({"nose": (10, 20, 0.2), "neck": (90, 90, 1)}, (10, 20)),
        ({"neck": (50, 90, 1), "r_shoulder": (20, 90, 1), "l_shoulder": (80, 90, 1)}, (50, 48)),
    ],
)
def test_the_nose_is_estimated_where_it_was_not_seen(seen: dict, expected: tuple):
    head = find_head(person(**seen))
    assert head is not None
    assert head.point == pytest.approx(expected)


def test_legs_have_no_head():
    assert find_head(person(r_hip=(5, 5, 1), r_knee=(5, 50, 1))) is None


def test_large_and_certain_people_are_more_prominent():
    def prominence(size: float, score: float) -> float:
        head = find_head(person(nose=(9, 9, score), neck=(9, 9 + size, score)))
        assert head is not None
        return head.prominence

    assert prominence(100, 0.9) > prominence(100, 0.5) > prominence(20, 0.5)


def test_the_distance_of_the_eyes_is_known_where_both_were_seen():
    both = find_head(person(nose=(9, 9, 1), r_eye=(3, 4, 1), l_eye=(9, 12, 1)))
    one = find_head(person(nose=(9, 9, 1), r_eye=(3, 4, 1)))
    assert both is not None and both.eye_distance == pytest.approx(10)
    assert one is not None and one.eye_distance is None
