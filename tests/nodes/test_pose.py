import json
from pathlib import Path

import numpy as np
import pytest

from idpatch_core.poses import make_standing, to_pose_keypoint


@pytest.fixture
def load_pose(comfy):
    return comfy.nodes.pose.IDPatchLoadPose


@pytest.fixture
def input_folder(comfy) -> Path:
    import folder_paths

    folder = Path(folder_paths.get_input_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_preset_fills_the_image(load_pose):
    (pose,) = load_pose.execute("standing_2", 640, 512).args
    assert pose[0]["canvas_width"] == 640
    assert pose[0]["canvas_height"] == 512
    bodies = [person["pose_keypoints_2d"] for person in pose[0]["people"]]
    np.testing.assert_allclose(np.reshape(bodies, (2, 18, 3)), make_standing(2, 640, 512))


def test_a_file_of_the_input_folder_is_offered_and_read(load_pose, input_folder):
    saved = to_pose_keypoint(make_standing(3, 320, 200), 320, 200)
    (input_folder / "band.json").write_text(json.dumps(saved))
    assert "band.json" in load_pose.define_schema().inputs[0].options
    (pose,) = load_pose.execute("band.json", 1024, 1024).args
    assert pose == saved


def test_a_changed_file_is_read_again(load_pose, input_folder):
    path = input_folder / "changing.json"
    path.write_text("[]")
    before = load_pose.fingerprint_inputs("changing.json", 64, 64)
    path.write_text("[ ]")
    assert load_pose.fingerprint_inputs("changing.json", 64, 64) != before


@pytest.mark.parametrize("text", ["[{", '{"a": 1}', "[]", "3"])
def test_a_file_without_poses_is_named_in_the_error(load_pose, input_folder, text):
    (input_folder / "wrong.json").write_text(text)
    with pytest.raises(ValueError, match=r"^pose: wrong\.json holds no POSE_KEYPOINT"):
        load_pose.execute("wrong.json", 1024, 1024)


def test_a_missing_file_is_named_in_the_error(load_pose, input_folder):
    with pytest.raises(ValueError, match=r"^pose: there is no gone\.json"):
        load_pose.execute("gone.json", 1024, 1024)
