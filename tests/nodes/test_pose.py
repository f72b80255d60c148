import json
import os
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


def test_a_byte_order_mark_is_read(load_pose, input_folder):
    saved = to_pose_keypoint(make_standing(1, 320, 200), 320, 200)
    (input_folder / "bom.json").write_text(json.dumps(saved), encoding="utf-8-sig")
    assert load_pose.execute("bom.json", 1024, 1024).args == (saved,)


def test_another_encoding_is_named(load_pose, input_folder):
    (input_folder / "utf16.json").write_text("[]", encoding="utf-16")
    with pytest.raises(ValueError, match=r"^pose: utf16\.json is not UTF-8"):
        load_pose.execute("utf16.json", 1024, 1024)


@pytest.mark.parametrize("name", ["../secret.json", "/etc/passwd", "folder.json", "pipe.json", ""])
def test_only_files_of_the_input_folder_are_read(load_pose, input_folder, name):
    (input_folder.parent / "secret.json").write_text("[]")
    (input_folder / "folder.json").mkdir(exist_ok=True)
    if hasattr(os, "mkfifo") and not (input_folder / "pipe.json").exists():
        os.mkfifo(input_folder / "pipe.json")
    with pytest.raises(ValueError, match=r"^pose: there is no .* in ComfyUI's input folder"):
        load_pose.execute(name, 1024, 1024)
    assert load_pose.fingerprint_inputs(name, 64, 64) == ""


def test_a_link_out_of_the_input_folder_is_not_followed(load_pose, input_folder):
    (input_folder.parent / "secret.json").write_text("[]")
    link = input_folder / "link.json"
    try:
        link.symlink_to(input_folder.parent / "secret.json")
    except OSError as error:
        pytest.skip(f"no symbolic links here: {error}")
    assert "link.json" not in load_pose.define_schema().inputs[0].options
