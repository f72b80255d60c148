import math

import numpy as np
import pytest
import torch

from idpatch_core.canvas import Hint
from idpatch_core.face_detector import Face
from idpatch_core.head_crops import (
    FEATHER,
    MASK_RADIUS,
    MASK_RISE,
    CroppedHead,
    HeadCrop,
    draw_head_mask,
    estimate_eye_distance,
    find_cropped_heads,
    plan_crop,
    resize_images,
    stitch_crop,
)
from idpatch_core.layout import Point
from idpatch_core.skeleton import Joint

HEAD = CroppedHead(Point(500.0, 300.0), 40.0)  # a face 84 pixels wide


def make_person(**joints: tuple[float, float]) -> np.ndarray:
    person = np.zeros((18, 3))
    for name, point in joints.items():
        person[Joint[name]] = *point, 1.0
    return person


def test_the_crop_gives_the_face_its_size():
    crop = plan_crop(HEAD, 1536, 1024, 1024, 252)
    assert (crop.enlarged_width, crop.enlarged_height) == (1024, 1024)
    assert (crop.width, crop.height) == (341, 341)  # 1024 / (252 / 84)
    assert 84 * crop.enlarged_width / crop.width == pytest.approx(252, rel=0.01)
    assert (crop.left, crop.top) == (330, 147)  # 500 - 0.5 * 341, 300 - 0.45 * 341


@pytest.mark.parametrize(("x", "y"), [(0, 0), (1535.4, 3), (700, 1023), (1535, 1023)])
def test_the_crop_lies_within_the_image_and_holds_the_nose(x, y):
    crop = plan_crop(CroppedHead(Point(x, y), 40.0), 1536, 1024, 1024, 252)
    assert 0 <= crop.left <= crop.left + crop.width <= 1536
    assert 0 <= crop.top <= crop.top + crop.height <= 1024
    point = crop.to_crop(Point(x, y))
    assert 0 <= point.x <= crop.enlarged_width
    assert 0 <= point.y <= crop.enlarged_height


def test_a_large_face_is_not_reduced():
    crop = plan_crop(CroppedHead(Point(700, 500), 200.0), 2048, 2048, 1024, 252)
    assert (crop.width, crop.enlarged_width) == (1024, 1024)


def test_a_smaller_image_is_used_whole():
    crop = plan_crop(CroppedHead(Point(100, 60), 40.0), 203, 120, 1024, 84)
    assert crop == HeadCrop(0, 0, 200, 120, 200, 120)


def test_points_go_to_the_crop_and_back():
    crop = HeadCrop(330, 147, 341, 341, 1024, 1024)
    point = crop.to_crop(Point(500.0, 300.0))
    assert point == pytest.approx(((500 - 330) * 1024 / 341, (300 - 147) * 1024 / 341))
    back = (point.x * 341 / 1024 + 330, point.y * 341 / 1024 + 147)
    assert back == pytest.approx((500, 300))
    person = make_person(NOSE=(500, 300), R_EYE=(480, 280))
    drawn = crop.poses_to_crop(person[None])[0]
    assert drawn[Joint.NOSE] == pytest.approx([*point, 1])
    assert drawn[Joint.R_EYE] == pytest.approx([*crop.to_crop(Point(480, 280)), 1])
    assert drawn[Joint.NECK, 2] == 0


def test_eyes_from_the_front_and_in_profile():
    front = {"NOSE": (50, 50), "R_EYE": (40, 40), "L_EYE": (60, 40), "L_EAR": (71, 45)}
    assert estimate_eye_distance(make_person(**front)) == pytest.approx(20)
    profile = make_person(NOSE=(20, 50), R_EYE=(26, 40), L_EYE=(29, 40), L_EAR=(58, 50))
    assert estimate_eye_distance(profile) == pytest.approx(38 / 1.9)
    assert estimate_eye_distance(make_person(NOSE=(20, 50), R_EYE=(26, 40))) is None


def make_hint(*points: tuple[float, float] | None, poses: list | None = None) -> Hint:
    black = torch.zeros(1, 3, 400, 800)
    placed = tuple(point and Point(*point) for point in points)
    skeletons = None if poses is None else torch.from_numpy(np.array(poses))
    names = tuple("ABC"[: len(points)])
    return Hint(black, black, placed, names, poses=skeletons)


def make_face(x: float, y: float, eyes: float) -> Face:
    keypoints = [
        (x - eyes / 2, y - 9),
        (x + eyes / 2, y - 9),
        (x, y),
        (x - 5, y + 9),
        (x + 5, y + 9),
    ]
    box = (x - eyes, y - eyes, x + eyes, y + eyes)
    return Face(box, np.array(keypoints, np.float32), 0.9)


def test_heads_are_found_by_skeleton_then_face_then_patch():
    person = make_person(NOSE=(203, 101), R_EYE=(190, 90), L_EYE=(214, 90))
    hint = make_hint((200, 100), (400, 100), (600, 100), poses=[person])
    faces = [make_face(400, 202, 50), make_face(800, 200, 44)]
    heads = find_cropped_heads(hint, faces, 1600, 800, 64)
    assert heads[0] == CroppedHead(Point(400, 200), 48.0)  # 24 in the hint, and not the face
    assert heads[1] == CroppedHead(Point(800, 200), 44.0)
    assert heads[2] == CroppedHead(Point(1200, 200), pytest.approx(128 / 2.1))


def test_people_who_are_not_in_the_image_have_no_head():
    heads = find_cropped_heads(make_hint(None, (900, 10), (10, 10)), [], 800, 400, 64)
    assert [head is None for head in heads] == [True, True, False]


def mask_at(mask: torch.Tensor, crop: HeadCrop, x: float, y: float) -> float:
    return float(mask[math.floor(y) - crop.top, math.floor(x) - crop.left])


def test_the_mask_covers_the_head_and_ends_softly():
    crop = plan_crop(HEAD, 1536, 1024, 1024, 252)
    mask = draw_head_mask(crop, [HEAD], 0)
    middle = 300 - MASK_RISE * 40
    for row in range(0, crop.height, 7):
        for column in range(0, crop.width, 7):
            x, y = crop.left + column + 0.5, crop.top + row + 0.5
            eyes = math.dist((x, y), (500, middle)) / 40
            expected = min(max((MASK_RADIUS + FEATHER - eyes) / FEATHER, 0), 1)
            assert float(mask[row, column]) == pytest.approx(expected, abs=1e-6)
    # At least two distances of the eyes round the nose, hair and ears.
    for angle in np.linspace(0, 2 * np.pi, 16):
        x, y = 500 + 1.8 * 40 * np.cos(angle), 300 + 1.8 * 40 * np.sin(angle)
        assert mask_at(mask, crop, x, y) == 1
    # Nothing at the edge of the crop, where the refined part ends.
    assert not torch.cat([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).any()


def test_no_pixel_belongs_to_two_people():
    heads = [HEAD, CroppedHead(Point(560.0, 310.0), 30.0), None]
    crop = HeadCrop(300, 100, 500, 400, 1000, 800)
    first, second = (draw_head_mask(crop, heads, person) for person in (0, 1))
    assert not (first * second).any()
    assert mask_at(first, crop, 500, 300) == mask_at(second, crop, 560, 310) == 1
    assert mask_at(first, crop, 560, 310) == mask_at(second, crop, 500, 300) == 0
    alone = draw_head_mask(crop, [HEAD], 0)
    assert (first <= alone).all()
    assert torch.equal(first[:, :150], alone[:, :150])  # on the other side nothing changes


def test_stitching_touches_nothing_outside_the_mask():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(120, 160, 4, generator=generator)
    crop = HeadCrop(30, 20, 60, 50, 120, 104)
    mask = torch.zeros(50, 60)
    mask[10:30, 20:40], mask[20, 30] = 1.0, 0.25
    refined = torch.full((104, 120, 3), 0.5)
    before = image.clone()
    stitched = stitch_crop(image, crop, refined, mask)
    assert torch.equal(image, before)
    changed = torch.zeros(120, 160, dtype=torch.bool)
    changed[30:50, 50:70] = True
    assert torch.equal(stitched[~changed], image[~changed])
    assert torch.equal(stitched[..., 3], image[..., 3])
    torch.testing.assert_close(stitched[30, 50, :3], torch.full((3,), 0.5))
    torch.testing.assert_close(stitched[40, 60, :3], 0.75 * image[40, 60, :3] + 0.125)


def test_enlarging_and_reducing_again_keeps_the_image():
    x, y = torch.meshgrid(torch.arange(60.0), torch.arange(50.0), indexing="xy")
    image = torch.stack([x / 60, y / 50, ((x + y) / 9).sin() * 0.4 + 0.5], dim=-1)[None]
    back = resize_images(resize_images(image, 120, 104), 60, 50)
    assert float((back - image).abs().max()) < 0.02
