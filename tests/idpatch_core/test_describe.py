import pytest

from idpatch_core.describe import describe_value, escape_surrogates


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        ("a\ud800", r"'a\ud800'"),
        ("x" * 99, f"'{'x' * 37}...'"),
        (10**400, "a huge number"),
        ({}, "an empty object"),
        ([1, 2], "a list of 2"),
    ],
)
def test_a_value_is_described_in_words_that_any_log_can_hold(value, words):
    assert describe_value(value) == words
    assert describe_value(value).encode().decode() == words


def test_lone_surrogates_are_escaped_and_other_text_is_kept():
    assert escape_surrogates("a\ud800b") == r"a\ud800b"
    assert escape_surrogates("安娜 \U0001f600 \0") == "安娜 \U0001f600 \0"
