import pytest

from idpatch_core.layout import Point
from idpatch_core.newcomers import find_free_point, match_names

ABC = ("Ada", "Bob", "Cleo")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (ABC, [0, 1, 2]),
        (("Cleo", "Ada", "Bob"), [2, 0, 1]),
        (("Ada", "Cleo"), [0, 2]),  # Bob is gone
        (("Ada", "Dan", "Bob", "Cleo"), [0, None, 1, 2]),  # Dan is new
        (("Ada", "Rob", "Cleo"), [0, 1, 2]),  # Bob is called Rob
        (("Bob", "Dan", "Eve"), [1, 0, 2]),  # Eve is where Cleo was, Dan where Ada was
        (("Ada", "Ada"), None),
    ],
)
def test_people_have_the_placements_of_their_names(names, expected):
    assert match_names(ABC, [True] * 3, names) == expected


def test_names_that_are_missing_or_come_twice_do_not_tell():
    assert match_names(("Ada", None), [True] * 2, ("Ada", "Bob")) is None
    assert match_names(("Ada", "Ada"), [True] * 2, ("Ada", "Bob")) is None


def test_no_one_new_is_off_the_canvas():
    assert match_names(("Ada", "Bob"), [True, False], ("Ada", "Dan")) == [0, None]


def test_a_free_point_is_that_of_the_row_or_beside_it():
    assert find_free_point(1, 2, [Point(100, 100)], 1024, 1024, 64) == (768, 358)
    taken = Point(760.0, 350.0)
    point = find_free_point(1, 2, [taken], 1024, 1024, 64)
    distance = max(abs(point.x - taken.x), abs(point.y - taken.y))
    assert 128 <= distance <= 160


def test_in_a_full_image_the_point_of_the_row_is_taken():
    crowd = [Point(float(x), float(y)) for x in range(0, 257, 32) for y in range(0, 257, 32)]
    assert find_free_point(0, 1, crowd, 256, 256, 64) == (128, 90)
