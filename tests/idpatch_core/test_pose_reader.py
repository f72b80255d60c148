import json

import numpy as np
import pytest
from openpose import person

from idpatch_core.pose_reader import read_pose_keypoint


def pose(*people: np.ndarray, width: int = 400, height: int = 300) -> dict:
    """A frame as pose nodes make it."""
    listed = [{"pose_keypoints_2d": one.reshape(-1).tolist()} for one in people]
    return {"canvas_width": width, "canvas_height": height, "people": listed}


def test_pixels_are_read_and_scaled():
    (frame,) = read_pose_keypoint([pose(person(nose=(100, 60, 0.9)), width=400, height=300)])
    assert (frame.width, frame.height) == (400, 300)
    assert frame.scaled_to(800, 600)[0, 0].tolist() == [200, 120, 0.9]


def test_normalised_points_are_read():
    (frame,) = read_pose_keypoint([pose(person(nose=(0.5, 0.25, 1), neck=(0.5, 1.1, 1)))])
    assert frame.people[0, 0].tolist() == [200, 75, 1]


def test_a_single_frame_and_several():
    assert len(read_pose_keypoint(pose())) == 1
    assert [len(f.people) for f in read_pose_keypoint([pose(), pose(person())])] == [0, 1]


def test_a_person_without_keypoints_keeps_their_number():
    frame = pose(person(nose=(9, 9, 1)))
    frame["people"].insert(0, {"pose_keypoints_2d": None})
    people = read_pose_keypoint(frame)[0].people
    assert people.shape == (2, 18, 3)
    assert not people[0].any()


@pytest.mark.parametrize(
    "bad, message",
    [
        (None, "expected a list of frames, got nothing"),
        ([], "expected a list of frames, got a list of 0"),
        ("pose", "expected a list of frames, got 'pose'"),
        ([3], "expected an object with people and canvas, got 3"),
        ([pose() | {"canvas_width": 0}], "canvas_width must be the image's size in pixels"),
        ([pose() | {"canvas_height": None}], "canvas_height must be .* got None"),
        ([pose() | {"people": None}], "people must be a list, got nothing"),
        ([pose(), pose() | {"people": [3]}], "frame 2: person 1: expected an object"),
        ([pose() | {"people": [{"faces": []}]}], "person 1: .* got an object with faces"),
        ([pose(np.zeros((24, 3)))], "person 1: .* has 72 values, expected 54"),
        ([pose(person(), person(nose=(np.nan, 1, 1)))], "person 2: .* holds NaN"),
        ([pose(person(nose=(1e9, 1, 1)))], "person 1: .* huge value"),
        (
            [pose() | {"people": [{"pose_keypoints_2d": ["a"] * 54}]}],
            "person 1: .* must hold numbers",
        ),
    ],
)
def test_bad_poses_say_what_is_wrong(bad: object, message: str):
    with pytest.raises(ValueError, match=f"^pose_keypoint.*{message}"):
        read_pose_keypoint(bad)


def test_a_joint_of_nulls_was_not_seen():
    values = person(nose=(100, 60, 0.9)).reshape(-1).tolist()
    values[3:6] = [None, None, 0]
    frame = json.loads(json.dumps(pose() | {"people": [{"pose_keypoints_2d": values}]}))
    people = read_pose_keypoint(frame)[0].people
    assert people[0, :2].tolist() == [[100, 60, 0.9], [0, 0, 0]]


def test_body_25_is_converted():
    body = np.stack([np.arange(25.0) + 30, np.arange(25.0) + 60, np.ones(25)], axis=1)
    people = read_pose_keypoint(pose(body))[0].people
    # OpenPose's documentation: 8 is the middle of the hips, 19 and more are the feet.
    joints = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]
    assert people[0, :, 0].tolist() == [30 + joint for joint in joints]


def test_coco_17_is_converted():
    coco = np.zeros((17, 3))
    coco[[0, 5, 6]] = [(50, 20, 1), (70, 40, 0.8), (30, 44, 0.9)]  # nose, left, right shoulder
    people = read_pose_keypoint(pose(coco))[0].people
    assert people[0, :3].tolist() == [[50, 20, 1], [50, 42, 0.8], [30, 44, 0.9]]


def test_a_normalised_body_may_reach_far_outside():
    reaching = person(nose=(0.5, 0.25, 1), neck=(0.5, 1.1, 1), r_hip=(0.4, 3.5, 1))
    people = read_pose_keypoint(pose(reaching))[0].people
    assert people[0, 0].tolist() == [200, 75, 1]
    assert people[0, 8].tolist() == [160, 1050, 1]


def test_a_small_body_in_pixels_stays_in_pixels():
    small = person(nose=(5, 3, 1), neck=(5, 9, 1), r_hip=(4, 14, 1))
    assert read_pose_keypoint(pose(small))[0].people[0, 0].tolist() == [5, 3, 1]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"version": 1.3, "people": []}, "OpenPose's own JSON, which does not say"),
        ({"width": 3, "height": 3, "keypoints": []}, "an object with width, height, keypoints, "),
        ({"version": "ap10k", "animals": [], "canvas_width": 9}, "it holds animals"),
    ],
)
def test_the_format_of_another_pose_is_named(frame, message):
    with pytest.raises(ValueError, match=f"^pose_keypoint: .*{message}"):
        read_pose_keypoint(frame)
