import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from photos import photo
from PIL import Image
from safetensors.torch import load_file

from idpatch_core.face_detector import YuNet

REFERENCE = Path(__file__).parents[1] / "data" / "reference"
Run = ModuleType  # the pack, as the fixture `comfy` loads it


def people(comfy: Run, patches: torch.Tensor, crop: np.ndarray | None = None):
    """IDPATCH_PATCHES of these patches (F, 3, P, P), with people called p1, p2 and so on."""
    count = len(patches)
    tokens = torch.zeros(count, 1, 1)
    identity = comfy.idpatch_core.identity.Identity
    listed = tuple(identity(f"p{number + 1}", torch.zeros(512), crop) for number in range(count))
    return comfy.idpatch_core.projection.IDPatches(patches, tokens, tokens, listed)


def random_people(comfy: Run, count: int):
    return people(comfy, torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(3)))


def place(comfy: Run, id_patches, width: int, height: int, points=None, **inputs):
    """Run the node; `points` are (x, y) pairs, None for a person taken off the canvas."""
    if points is not None:
        items = [point and {"x": point[0], "y": point[1]} for point in points]
        inputs["placements"] = json.dumps(items)
    return comfy.nodes.placer.IDPatchPlacer.execute(id_patches, width, height, **inputs)


def report(output) -> dict:
    return output.ui["idpatch_placer"][0]


def pose(*noses: tuple[float, float], score: float = 1.0, width: int = 512, height: int = 512):
    """POSE_KEYPOINT of people with nose, neck and shoulders, each 40 pixels high."""
    listed = []
    for x, y in noses:
        keypoints = np.zeros((18, 3))
        keypoints[[0, 1, 2, 5]] = [
            [x, y, 1],
            [x, y + 40, 1],
            [x - 20, y + 40, 1],
            [x + 20, y + 40, 1],
        ]
        keypoints[:, 2] *= score
        listed.append({"pose_keypoints_2d": keypoints.reshape(-1).tolist()})
    return [{"canvas_width": width, "canvas_height": height, "people": listed}]


@pytest.mark.parametrize("name", ["case0", "case1"])
def test_condition_image_equals_the_reference(comfy: Run, name: str):
    case = load_file(REFERENCE / f"{name}.safetensors")
    patches = case["patches"].reshape(-1, 3, 64, 64)
    base = case["control_image"][None].float() / 255
    output = place(
        comfy,
        people(comfy, patches),
        base.shape[2],
        base.shape[1],
        case["face_locations"].tolist(),
        base_image=base,
    )
    hint, preview = output.args
    assert torch.allclose(hint.image, case["condition_image"], rtol=0, atol=1e-5)
    assert hint.points == tuple(map(tuple, case["face_locations"].tolist()))
    assert preview.shape == base.shape


def test_swapping_two_people_swaps_their_patches_and_nothing_else(comfy: Run):
    base = torch.rand(1, 200, 264, 3)
    patches = torch.randn(3, 3, 64, 64)
    points = [(50, 60), (150, 100), (220, 160)]
    first = place(comfy, people(comfy, patches), 264, 200, points, base_image=base).args[0].image
    swapped = people(comfy, patches[[1, 0, 2]])
    second = place(comfy, swapped, 264, 200, points, base_image=base).args[0].image

    plain = base.permute(0, 3, 1, 2)
    boxes = [(slice(28, 92), slice(18, 82)), (slice(68, 132), slice(118, 182))]
    for (rows, columns), one, other in zip(boxes, patches, patches[[1, 0]], strict=False):
        under = plain[0, :, rows, columns]
        assert torch.equal(first[0, :, rows, columns], under + one)
        assert torch.equal(second[0, :, rows, columns], under + other)
        first[0, :, rows, columns] = second[0, :, rows, columns] = 0
    assert torch.equal(first, second)


def test_positions_near_1000_are_exact(comfy: Run):
    # bfloat16 has steps of 4 there: 1001.5 would become 1000.
    image = place(comfy, people(comfy, torch.ones(1, 3, 64, 64)), 1088, 1088, [(1001.4, 997.6)])
    rows, columns = image.args[0].image[0, 0].nonzero(as_tuple=True)
    assert (rows.min(), rows.max()) == (998 - 32, 998 + 31)
    assert (columns.min(), columns.max()) == (1001 - 32, 1001 + 31)


def test_overlapping_patches_add_up_with_a_warning(comfy: Run, caplog):
    patches = torch.stack([torch.full((3, 64, 64), 2.0), torch.full((3, 64, 64), 3.5)])
    output = place(comfy, people(comfy, patches), 264, 200, [(100, 100), (132, 100)], bodies="none")
    row = output.args[0].image[0, 0, 100]
    assert row[[67, 68, 99, 100, 131, 132, 163, 164]].tolist() == [0, 2, 2, 5.5, 5.5, 3.5, 3.5, 0]
    (warning,) = report(output)["warnings"]
    assert "person 1 (p1) and person 2 (p2) overlap" in warning
    assert warning in caplog.text


def test_a_person_outside_gets_no_patch_and_a_warning(comfy: Run):
    output = place(
        comfy, random_people(comfy, 2), 264, 200, [(100, 100), (264, 100)], bodies="none"
    )
    alone = place(comfy, random_people(comfy, 2), 264, 200, [(100, 100), None], bodies="none")
    assert torch.equal(output.args[0].image, alone.args[0].image)
    assert output.args[0].points[1] == (264, 100)
    assert report(output)["warnings"] == ["person 2 (p2) is outside the image and gets no patch."]
    assert report(alone)["warnings"] == []


def test_patch_strength_scales_one_patch(comfy: Run):
    patches = torch.randn(2, 3, 64, 64)
    text = '[{"x": 40, "y": 40, "patch_strength": 0.5}, {"x": 200, "y": 40}]'
    image = place(comfy, people(comfy, patches), 264, 200, placements=text).args[0].image
    assert torch.equal(image[0, :, 8:72, 8:72], patches[0] * 0.5)
    assert torch.equal(image[0, :, 8:72, 168:232], patches[1])


def test_without_placements_people_are_in_a_row_on_black(comfy: Run):
    output = place(comfy, random_people(comfy, 3), 768, 512)
    assert [x for x, _ in output.args[0].points] == [128, 384, 640]
    assert report(output)["base"] is None
    assert (output.args[0].image == 0).float().mean() > 0.9


def test_poses_are_drawn_and_give_the_points_from_left_to_right(comfy: Run):
    drawn = pose((200, 60), (50, 50), width=256, height=256)
    output = place(comfy, random_people(comfy, 2), 512, 512, pose_keypoint=drawn)
    hint = output.args[0]
    assert hint.points == ((100, 100), (400, 120))
    assert hint.image[0, 0, 200, 400] == 0.4  # the neck of the right one, below the patch
    assert report(output)["poses"] == [(400, 120), (100, 100)]
    assert report(output)["base"] is not None


def test_a_spurious_pose_shifts_no_one(comfy: Run):
    frames = pose((100, 100), (400, 120))
    frames[0]["people"] = pose((20, 20), score=0.2)[0]["people"] + frames[0]["people"]
    output = place(comfy, random_people(comfy, 2), 512, 512, pose_keypoint=frames)
    assert output.args[0].points == ((100, 100), (400, 120))
    (warning,) = report(output)["warnings"]
    assert "3 poses found for 2 people; the smallest or least certain, at 20, 20" in warning
    assert report(output)["poses"] == [(100, 100), (400, 120), (20, 20)]  # the editor's order


def test_a_pose_without_a_head_is_named(comfy: Run):
    frames = pose((100, 100))
    frames[0]["people"].insert(0, {"pose_keypoints_2d": []})
    output = place(comfy, random_people(comfy, 1), 512, 512, pose_keypoint=frames)
    assert output.args[0].points == ((100, 100),)
    assert "person 1 shows neither a head nor shoulders" in report(output)["warnings"][0]


def test_placements_win_over_poses(comfy: Run):
    output = place(comfy, random_people(comfy, 1), 512, 512, [(7, 8)], pose_keypoint=pose((99, 99)))
    assert output.args[0].points == ((7, 8),)
    assert report(output)["poses"] == [(99, 99)]


def test_faces_in_the_base_image_give_the_points_from_left_to_right(comfy: Run):
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    crops = load_file(REFERENCE / "faces.safetensors")
    base = torch.zeros(1, 300, 400, 3)
    base[0, 20:132, 250:362] = crops["exp_man.jpg.crop_bgr"].flip(-1) / 255
    base[0, 150:262, 30:142] = crops["exp_woman.jpg.crop_bgr"].flip(-1) / 255
    output = place(comfy, random_people(comfy, 2), 800, 600, arrangement="faces", base_image=base)
    left, right = output.args[0].points
    nose = (56.0, 71.7)  # where alignment puts it in a crop
    assert left == pytest.approx((2 * (30 + nose[0]), 2 * (150 + nose[1])), abs=12)
    assert right == pytest.approx((2 * (250 + nose[0]), 2 * (20 + nose[1])), abs=12)
    assert sorted(report(output)["faces"]) == [left, right]


def test_the_first_of_several_frames_is_used(comfy: Run):
    frames = pose((100, 100)) + pose((300, 300))
    output = place(comfy, random_people(comfy, 1), 512, 512, pose_keypoint=frames)
    assert output.args[0].points == ((100, 100),)
    assert "it has 2 frames; the first is used" in report(output)["warnings"][0]


def test_base_of_another_size_is_resized_before_the_patches_are_added(comfy: Run):
    base = torch.zeros(1, 100, 132, 4)
    base[:, :50, :, 0] = 1  # red above; mostly transparent, on black
    base[..., 3] = 0.3
    patches = torch.randn(1, 3, 64, 64) * 9
    output = place(comfy, people(comfy, patches), 264, 200, [(132, 160)], base_image=base)
    image = output.args[0].image
    assert image.shape == (1, 3, 200, 264)
    assert torch.equal(image[0, :, 128:192, 100:164], patches[0])
    assert torch.allclose(image[0, :, 50, 50], torch.tensor([0.3, 0.0, 0.0]), atol=1e-5)
    assert image[0, :, :, :100].min() >= 0 and image[0, :, :, :100].max() <= 1  # no overshoot


def test_report_for_the_editor(comfy: Run):
    import folder_paths

    crop = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    output = place(
        comfy, people(comfy, torch.zeros(1, 3, 64, 64), crop), 264, 200, [(60.5, 70)], bodies="none"
    )
    shown = json.loads(json.dumps(report(output)))
    (person,) = shown.pop("people")
    assert shown == {
        "version": 1,
        "width": 264,
        "height": 200,
        "base": None,
        "skeletons": [],
        "poses": [],
        "pose_people": [],
        "faces": [],
        "reference": None,
        "patch_size": 64,
        "head_patches": [],
        "warnings": [],
    }
    assert (person["name"], person["x"], person["y"]) == ("p1", 60.5, 70)
    saved = Path(folder_paths.get_temp_directory(), person["crop"]["filename"])
    assert np.array_equal(np.array(Image.open(saved)), crop)
    assert output.ui["images"][0]["type"] == "temp"


def test_a_person_off_the_canvas_and_without_a_crop(comfy: Run):
    output = place(comfy, random_people(comfy, 1), 264, 200, [None])
    assert report(output)["people"] == [{"name": "p1", "x": None, "y": None, "crop": None}]
    assert output.args[0].points == (None,)
    assert not output.args[0].image.any()


@pytest.mark.parametrize(
    "size, inputs, message",
    [
        ((1020, 512), {}, "width: 1020 is not a multiple of 8.* 1016 and 1024"),
        ((512, 4), {}, "height: expected a whole number from 64 to 16384, got 4"),
        ((512, 512), {"placements": "[{"}, "placements: not JSON at line 1"),
        ((512, 512), {"placements": "[null]"}, r"1 placement for 2 people \(p1, p2\)"),
        ((512, 512), {"arrangement": "placements"}, "placements: it is empty"),
        ((512, 512), {"arrangement": "pose"}, "'pose' needs pose_keypoint, which is not connected"),
        ((512, 512), {"arrangement": "heap"}, "expected one of auto, .* got 'heap'"),
        (
            (512, 512),
            {"arrangement": "faces"},
            "'faces' needs reference_image, which is not",
        ),
        ((512, 512), {"pose_keypoint": pose((9, 9))}, r"pose_keypoint: 1 pose found for 2 people"),
        (
            (512, 512),
            {"arrangement": "faces", "base_image": torch.zeros(1, 512, 512, 3)},
            r"base_image: 0 faces found for 2 people",
        ),
        ((512, 256), {"pose_keypoint": pose((9, 9), (40, 9))}, "pose_keypoint: it is 512x512"),
        ((512, 512), {"pose_keypoint": 3}, "pose_keypoint: expected a list of frames, got 3"),
        ((512, 512), {"base_image": torch.zeros(2, 512, 512, 3)}, "got a batch of 2"),
        ((512, 512), {"base_image": torch.zeros(1, 256, 512, 3)}, "it is 512x256, .* such as 512x"),
        ((512, 512), {"base_image": torch.zeros(1, 512, 512, 5)}, r"got Tensor \(1, 512, 512, 5\)"),
    ],
)
def test_bad_input_says_what_is_wrong(comfy: Run, size: tuple, inputs: dict, message: str):
    with pytest.raises(ValueError, match=message):
        place(comfy, random_people(comfy, 2), *size, **inputs)


def test_no_people_to_place(comfy: Run):
    with pytest.raises(ValueError, match="id_patches: the list is empty"):
        place(comfy, people(comfy, torch.zeros(0, 3, 64, 64)), 512, 512)


def test_face_sized_patches_follow_the_eyes_of_the_pose(comfy: Run):
    """The first person's eyes are 50 pixels apart, the second's were not seen."""
    posed = pose((120.0, 200.0), (380.0, 200.0))
    keypoints = np.reshape(posed[0]["people"][0]["pose_keypoints_2d"], (18, 3))
    keypoints[[14, 15]] = [[95, 180, 1], [145, 180, 1]]
    posed[0]["people"][0]["pose_keypoints_2d"] = keypoints.reshape(-1).tolist()
    two = people(comfy, torch.ones(2, 3, 64, 64))
    for face_sized, sides in ((False, (64, 64)), (True, (105, 64))):
        output = place(comfy, two._replace(face_sized=face_sized), 512, 512, pose_keypoint=posed)
        hint = output.args[0]
        added = (hint.image - hint.base)[0, 0]
        assert [int(half.sum()) for half in (added[:, :256], added[:, 256:])] == [
            side**2 for side in sides
        ]
        heads = [[120, 200, 105], [380, 200, 64]] if face_sized else []
        assert report(output)["head_patches"] == heads


def test_face_sized_patches_follow_a_face_that_they_are_put_on(comfy: Run):
    posed = pose((120.0, 200.0))
    keypoints = np.reshape(posed[0]["people"][0]["pose_keypoints_2d"], (18, 3))
    keypoints[[14, 15]] = [[95, 180, 1], [145, 180, 1]]
    posed[0]["people"][0]["pose_keypoints_2d"] = keypoints.reshape(-1).tolist()
    one = people(comfy, torch.ones(1, 3, 64, 64))._replace(face_sized=True)
    for point, side in (((118.0, 203.0), 105), ((300.0, 300.0), 64)):
        hint = place(comfy, one, 512, 512, points=[point], pose_keypoint=posed).args[0]
        assert int((hint.image - hint.base)[0, 0].sum()) == side**2


def body(height: float) -> list:
    """A body of nose, neck and shoulders, for placements."""
    joints = [None] * 18
    joints[0], joints[1] = [0, 0], [0, height]
    joints[2], joints[5] = [-height / 2, height], [height / 2, height]
    return joints


def test_a_body_in_the_placements_moves_the_skeleton(comfy: Run):
    """The pose of the first person is drawn where the person is now, and nowhere else."""
    posed = pose((100, 100), (400, 120))
    text = json.dumps([{"x": 150, "y": 300, "body": body(40)}, {"x": 400, "y": 120}])
    moved = place(comfy, random_people(comfy, 2), 512, 512, pose_keypoint=posed, placements=text)
    expected = place(
        comfy,
        random_people(comfy, 2),
        512,
        512,
        [(150, 300), (400, 120)],
        pose_keypoint=pose((150, 300), (400, 120)),
    )
    assert torch.equal(moved.args[0].image, expected.args[0].image)
    assert moved.args[0].figures == expected.args[0].figures
    assert report(moved)["warnings"] == []
    assert report(moved)["skeletons"][0][0] == [100, 100]
    assert sorted(report(moved)["pose_people"]) == [0, 1]


def test_bodies_are_drawn_under_people_without_a_pose(comfy: Run):
    two = random_people(comfy, 2)
    output = place(comfy, two, 512, 512, [(128, 180), (384, 180)], bodies="standing")
    (small,) = report(output)["warnings"]
    assert small.startswith("Faces narrower than 38 pixels may not resemble their person: ")
    assert (output.args[0].base.amax(dim=1) > 0).sum() > 2000
    assert all(figure and figure.limbs for figure in output.args[0].figures)
    one = place(comfy, two, 512, 512, [(128, 180), None], bodies="standing")
    assert one.args[0].base[..., 256:].sum() == 0


def test_without_a_skeleton_the_node_warns_unless_told_not_to(comfy: Run):
    (warning,) = report(place(comfy, random_people(comfy, 2), 512, 512))["warnings"]
    assert warning.startswith("bodies: the image has no skeleton")
    plain = place(comfy, random_people(comfy, 2), 512, 512, bodies="none")
    assert report(plain)["warnings"] == []
    drawn = pose((100, 100), (400, 120))
    posed = place(comfy, random_people(comfy, 2), 512, 512, pose_keypoint=drawn)
    assert report(posed)["warnings"] == []


def test_a_body_is_drawn_over_a_base_image(comfy: Run):
    base = torch.zeros(1, 512, 512, 3)
    base[:, 100:110] = 0.5
    text = json.dumps([{"x": 256, "y": 80, "body": body(120)}])
    one = people(comfy, torch.zeros(1, 3, 64, 64))
    output = place(comfy, one, 512, 512, placements=text, base_image=base, bodies="sitting")
    image = output.args[0].image[0]
    assert image[:, 105, 10].tolist() == [0.5, 0.5, 0.5]
    assert image[:, 140, 256].tolist() == pytest.approx([0, 0, 0.6])  # neck to nose


def test_a_photo_as_base_image_is_noticed(comfy: Run):
    photo = torch.rand(1, 512, 512, 3)
    output = place(comfy, random_people(comfy, 1), 512, 512, [(99, 99)], base_image=photo)
    (warning,) = report(output)["warnings"]
    assert warning.startswith("base_image: it is not black with the lines of poses")
    drawing = torch.zeros(1, 512, 512, 3)
    drawing[:, 90:99] = 1
    output = place(comfy, random_people(comfy, 1), 512, 512, [(99, 99)], base_image=drawing)
    assert report(output)["warnings"] == []


def test_a_reference_image_gives_points_and_is_not_in_the_hint(comfy: Run):
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    crops = load_file(REFERENCE / "faces.safetensors")
    photo = torch.zeros(1, 300, 400, 3)
    photo[0, 20:132, 250:362] = crops["exp_man.jpg.crop_bgr"].flip(-1) / 255
    photo[0, 150:262, 30:142] = crops["exp_woman.jpg.crop_bgr"].flip(-1) / 255
    two = random_people(comfy, 2)
    inputs = {"arrangement": "faces", "bodies": "none"}
    output = place(comfy, two, 800, 1000, reference_image=photo, **inputs)
    left, right = output.args[0].points
    nose = (56.0, 71.7)  # where alignment puts it in a crop
    top = (1000 - 2 * 300) / 2  # the photo keeps its aspect ratio, in the middle
    assert left == pytest.approx((2 * (30 + nose[0]), top + 2 * (150 + nose[1])), abs=12)
    assert right == pytest.approx((2 * (250 + nose[0]), top + 2 * (20 + nose[1])), abs=12)
    assert not output.args[0].base.any()
    plain = place(comfy, two, 800, 1000, [left, right], bodies="none")
    assert torch.equal(output.args[0].image, plain.args[0].image)
    assert report(output)["reference"] is not None and report(output)["base"] is None


@pytest.mark.parametrize("source", ["base_image", "reference_image"])
def test_a_face_upside_down_gives_a_point(comfy: Run, source: str):
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    faces = [photo(name)[:500, :500] for name in ("obama", "sunak")]
    image = np.zeros((600, 1200, 3), np.uint8)
    image[50:550, 50:550], image[50:550, 650:1150] = faces[0], faces[1][::-1, ::-1]
    ((x, y),) = [face.nose for face in YuNet().detect(faces[1])[:1]]
    given = {source: torch.from_numpy(image)[None].float() / 255}
    output = place(comfy, random_people(comfy, 2), 1200, 600, arrangement="faces", **given)
    left, right = output.args[0].points
    assert left.x < 600 and right == pytest.approx((1149 - x, 549 - y), abs=12)


def test_overlapping_patches_are_added_up_or_divided(comfy: Run):
    patches = torch.cat([torch.full((1, 3, 64, 64), value) for value in (0.25, 0.5)])
    points = [(40, 32), (56, 32)]
    usual = place(comfy, people(comfy, patches), 128, 64, points, bodies="none")
    shown = usual.args[0].image[0, 0, 32, [20, 40, 50, 80]].tolist()
    assert shown == [0.25, 0.75, 0.75, 0.5]
    assert any("overlap and add up" in warning for warning in report(usual)["warnings"])
    inputs = {"bodies": "none", "overlap": "nearer"}
    divided = place(comfy, people(comfy, patches), 128, 64, points, **inputs)
    shown = divided.args[0].image[0, 0, 32, [20, 40, 50, 80]].tolist()
    assert shown == [0.25, 0.25, 0.5, 0.5]
    assert any("overlap and are divided" in warning for warning in report(divided)["warnings"])
