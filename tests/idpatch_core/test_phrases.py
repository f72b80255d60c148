import pytest

from idpatch_core.phrases import complete_phrases, make_caption, read_phrases, warn_of_missing

NAMES = ("Ada", "Ben", "Dr: Cleo")


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("", ["", "", ""]),
        ("Ada: red shirt, smiling", ["red shirt, smiling", "", ""]),
        ("\n Ben:blue shirt: new \n\nAda : grey\n", ["grey", "blue shirt: new", ""]),
        ("Dr: Cleo: a hat", ["", "", "a hat"]),
        ('{"Ben": "a hat", "Ada": null}', ["", "a hat", ""]),
        ('["a hat", null, " old "]', ["a hat", "", "old"]),
    ],
)
def test_each_person_gets_their_phrase(text, phrases):
    assert read_phrases(text, NAMES) == phrases


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Bob: a hat", r"no one has the name 'Bob' in id_hint, which holds 3 people \(Ada, Ben, D"),
        ("ada: a hat", "no one has the name 'ada' in id_hint"),
        ("a red shirt", "'a red shirt' has no name.*like \"Ada: red shirt, smiling\""),
        ("Ada: a hat\nAda: a coat", "Ada has two of them"),
        ('["a hat"]', "1 phrase for 3 people"),
        ('{"Ada": 3}', "that of Ada must be text or null, got 3"),
        ('{"Ada": "a hat"', "begins like JSON, but is not"),
    ],
)
def test_what_is_wrong_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        read_phrases(text, NAMES)


def test_people_of_the_same_name_get_their_phrases_in_order():
    with pytest.raises(ValueError, match=r"2 people have the name 'Ada'.*in the order"):
        read_phrases("Ada: a hat", ("Ada", "Ada"))
    assert read_phrases('["a hat", "a coat"]', ("Ada", "Ada")) == ["a hat", "a coat"]


def test_people_without_a_phrase_keep_their_own():
    assert complete_phrases(["hat", "", ""], ["coat", "scarf", ""]) == ["hat", "scarf", ""]
    assert complete_phrases(["a hat", ""], ()) == ["a hat", ""]
    with pytest.raises(ValueError):
        complete_phrases(["a hat"], ["a coat", "a scarf"])


def test_a_caption_holds_the_phrase():
    assert make_caption("one person, {phrase}, 35 mm", "a hat") == "one person, a hat, 35 mm"
    with pytest.raises(ValueError, match=r"caption: it has no \{phrase\}.*got 'one person'"):
        make_caption("one person", "a hat")


def test_people_without_a_phrase_are_named():
    assert warn_of_missing(["a", "b", "c"], NAMES) == ""
    assert warn_of_missing(["a", "", ""], NAMES).startswith("phrases: none for Ben, Dr: Cleo;")
