"""The warning of skeletons whose faces are too small."""

import numpy as np

from idpatch_core.layout import Point
from idpatch_core.poses import make_standing
from idpatch_core.skeleton import find_heads
from idpatch_core.small_faces import warn_of_small_faces

SIZE = (1024, 1024, 64)  # width, height, patch


def warn(count: int, width: int = 1024, height: int = 1024) -> list[str]:
    """Return the warnings for standing people whose points are those of their skeletons."""
    poses = make_standing(count, width, height)
    points = [head.point for head in find_heads(poses)[0]]
    names = [f"P{number}" for number in range(1, count + 1)]
    return warn_of_small_faces(points, poses, names, width, height, 64)


def test_few_people_are_large_enough():
    assert warn(5) == []


def test_many_people_are_small():
    # Eight people 1024 / 8 / 0.3 = 427 pixels tall; the eyes are 0.036 of that apart.
    (warning,) = warn(8)
    assert warning.startswith(
        "Faces narrower than 38 pixels may not resemble their person: person 1 (P1), 32 pixels, "
    )
    assert "person 8 (P8)" in warning
    assert warning.endswith("or connect Refine Identities after VAE Decode.")


def test_a_larger_image_has_no_small_faces():
    assert warn(8, 2048) == []


def test_people_without_a_skeleton_are_left_out():
    poses = make_standing(8, 1024, 1024)
    far = [None, Point(900.0, 1000.0), Point(-50.0, 10.0)]
    assert warn_of_small_faces(far, poses, ["A", "B", "C"], *SIZE) == []
    none = np.zeros((0, 18, 3))
    assert warn_of_small_faces([Point(64.0, 64.0)], none, ["A"], *SIZE) == []


def test_a_profile_counts_by_its_ear():
    profile = np.zeros((1, 18, 3))
    profile[0, [0, 14, 16]] = [[500, 100, 1], [498, 90, 1], [460, 95, 1]]
    assert warn_of_small_faces([Point(500.0, 100.0)], profile, ["A"], *SIZE) == []
