from itertools import combinations

import pytest

from idpatch_core.layout import (
    ARRANGEMENTS,
    Head,
    Placement,
    Point,
    arrange_people,
    assign_left_to_right,
    find_nearest_head,
    has_same_aspect,
    is_inside,
    outside,
    overlapping,
    rescale_points,
    warn_about_placements,
)

TWO = ("Ann", "Bob")


def test_inside_is_a_pixel_of_the_image_once_rounded():
    assert is_inside(Point(-0.5, 199.4), 264, 200)  # half rounds to even: 0
    assert not is_inside(Point(-0.51, 100), 264, 200)
    assert not is_inside(Point(100, 199.6), 264, 200)
    assert not is_inside(Point(264, 100), 264, 200)


def test_people_outside_are_found():
    points = [Point(10, 10), None, Point(10, 200), Point(-9, 10)]
    assert outside(points, 264, 200) == [2, 3]


def test_patches_overlap_within_their_size_in_both_directions():
    points = [Point(100, 100), Point(163, 37), Point(164, 100), Point(100, 36), None]
    assert overlapping(points, 512, 512, 64) == [(0, 1), (1, 2), (1, 3)]


def test_patches_of_different_sizes_overlap_by_their_own_size():
    points = [Point(100, 100), Point(150, 100), Point(300, 100)]
    assert overlapping(points, 512, 512, [64, 30, 64]) == []
    assert overlapping(points, 512, 512, [64, 40, 300]) == [(0, 1), (1, 2)]


def test_the_nearest_head_within_reach_is_found():
    heads = [Head(Point(10, 10), 1.0), Head(Point(30, 10), 2.0)]
    assert find_nearest_head(Point(26, 10), heads, 5) is heads[1]
    assert find_nearest_head(Point(20, 40), heads, 5) is None
    assert find_nearest_head(None, heads, 5) is None
    assert find_nearest_head(Point(20, 40), [], 5) is None


def test_people_without_a_patch_overlap_no_one():
    assert overlapping([Point(-3, 10), Point(1, 10)], 512, 512, 64) == []


def test_people_are_assigned_from_left_to_right():
    found = [Head(Point(300, 5), 1.0), Head(Point(20, 90), 1.0)]
    assert assign_left_to_right(found, TWO, "pose_keypoint", "pose") == (
        [Point(20, 90), Point(300, 5)],
        [],
    )


def test_the_least_prominent_is_left_out_and_shifts_no_one():
    left, right, spurious = (
        Head(Point(100, 50), 80.0),
        Head(Point(300, 50), 70.0),
        Head(Point(5, 5), 2.0),
    )
    points, unused = assign_left_to_right([spurious, right, left], TWO, "pose_keypoint", "pose")
    assert points == [left.point, right.point]
    assert unused == [spurious]


def test_too_few_heads_name_the_people():
    with pytest.raises(ValueError, match=r"base_image: 1 face found for 2 people \(Ann, Bob\)"):
        assign_left_to_right([Head(Point(1, 1), 1.0)], TWO, "base_image", "face")


@pytest.mark.parametrize("name", ARRANGEMENTS)
@pytest.mark.parametrize("size", [(1024, 1024), (264, 200), (192, 256), (640, 128), (832, 1216)])
def test_arranged_patches_lie_in_the_image_and_keep_apart(name: str, size: tuple[int, int]):
    width, height = size
    for count in range(1, 11):
        points = ARRANGEMENTS[name](count, width, height, 64)
        assert len(points) == count
        assert all(32 <= x <= width - 32 and 32 <= y <= height - 32 for x, y in points)
        assert all(max(abs(a.x - b.x), abs(a.y - b.y)) >= 64 for a, b in combinations(points, 2))


def test_an_image_too_small_for_all_patches_still_has_all_points_inside():
    points = ARRANGEMENTS["row"](10, 64, 64, 64)
    assert len(points) == 10
    assert outside(points, 64, 64) == []


def test_row():
    assert ARRANGEMENTS["row"](3, 600, 400, 64) == [(100, 140), (300, 140), (500, 140)]


def test_two_rows_have_the_back_row_first():
    points = ARRANGEMENTS["two_rows"](3, 600, 400, 64)
    assert points == [(150, 120), (450, 120), (300, 240)]


def test_arc_is_highest_in_the_middle():
    left, middle, right = ARRANGEMENTS["arc"](3, 600, 400, 64)
    assert middle == (300, 140)
    assert left == (100, 176)
    assert right == (500, 176)


def test_points_follow_an_image_of_another_size():
    assert rescale_points([Point(100, 30), None], (400, 300), (800, 450)) == [(200, 45), None]


def test_the_aspect_ratio_may_differ_by_two_percent():
    assert has_same_aspect((1024, 768), (512, 384))
    assert has_same_aspect((101, 100), (100, 100))
    assert not has_same_aspect((103, 100), (100, 100))
    assert not has_same_aspect((100, 103), (100, 100))


def test_automatic_arrangement_prefers_placements_to_poses_to_a_row():
    given, poses = [Placement(Point(7, 8), 0.5)], [Head(Point(99, 40), 1.0)]

    def arrange(given: list, poses: list | None) -> list:
        return arrange_people("auto", given, poses, None, ["Ann"], 512, 512, 64)[0]

    assert arrange(given, poses) == given
    assert arrange([], poses) == [Placement(Point(99, 40))]
    assert arrange([], None) == [Placement(Point(256, 179))]


def test_warnings_name_the_people():
    points = [Point(100, 100), Point(150, 100), Point(600, 9)]
    assert warn_about_placements(points, ["Ann", "Bob", "Cy"], 512, 512, [64, 40, 64]) == [
        "person 3 (Cy) is outside the image and gets no patch.",
        "The patches of person 1 (Ann) and person 2 (Bob) overlap and add up; "
        "place them 52 pixels apart.",
    ]
