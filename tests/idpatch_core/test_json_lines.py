import json
import math
import re

import pytest

from idpatch_core.json_lines import MAX_DEPTH, format_line, parse_json, read_json, read_lines

GOOD = b'{"id": "good"}'


def write(tmp_path, content):
    path = tmp_path / "photos.jsonl"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"{torn", "not JSON: Expecting property name .* at column 2"),
        (b'{"width": 1e999}', "expected finite numbers, got inf"),
        (b'{"width": ' + b"9" * 400 + b"}", "expected finite numbers, got inf"),
        (b'{"width": ' + b"9" * 5000 + b"}", "expected finite numbers, got inf"),
        (b'{"seconds": NaN}', "expected finite numbers, got nan"),
        (b'{"seconds": -Infinity}', "expected finite numbers, got -inf"),
        (b"[" * 60_000 + b"]" * 60_000, f"nested more than {MAX_DEPTH} deep"),
        (b"[" * 60 + b"]" * 60, f"nested more than {MAX_DEPTH} deep"),
        (b'{"id": "a\\u0000b"}', r"a text holds the character U\+0000"),
        (b'{"id": ["\\ud800"]}', r"a text holds \\ud800, which is half a character"),
        (b'{"\\udc00": 1}', r"a text holds \\udc00"),
        ('{"id": "José"}'.encode("latin-1"), "byte 0xe9 at column 12 is not UTF-8. Save the file"),
        (b"\0\0\0", "not JSON"),
    ],
)
def test_a_bad_line_costs_only_itself_and_is_named(tmp_path, bad, message):
    first, second, third = read_lines(write(tmp_path, GOOD + b"\n" + bad + b"\n\n" + GOOD))
    assert (first.value, third.value) == ({"id": "good"}, {"id": "good"})
    assert (first.number, second.number, third.number) == (1, 2, 4)
    assert second.problem is not None and "\n" not in second.problem
    assert re.match(rf"photos\.jsonl, line 2: .*{message}", second.problem)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\r"])
def test_separators_of_unicode_stand_inside_a_text(tmp_path, separator):
    row = {"prompt": f"a{separator}b"}
    text = json.dumps(row, ensure_ascii=False)
    lines = read_lines(write(tmp_path, f"{text}\n{format_line(row)}".encode()))
    assert [line.value for line in lines] == [row, row]
    assert len(format_line(row).splitlines()) == 1


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_byte_order_mark_and_the_endings_of_windows_are_not_seen(tmp_path, ending):
    lines = read_lines(write(tmp_path, b"\xef\xbb\xbf" + GOOD + ending + GOOD + ending))
    assert [line.value for line in lines] == [{"id": "good"}] * 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_in_utf_16_is_refused_as_such(tmp_path, encoding):
    path = write(tmp_path, '{"id": "good"}\n'.encode(encoding))
    for read in (read_lines, read_json):
        with pytest.raises(ValueError, match=r"photos\.jsonl is in UTF-16\. Save it as UTF-8"):
            read(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.json cannot be read: No such file"):
        read_json(tmp_path / "gone.json")


def test_a_file_of_one_value_is_read(tmp_path):
    path = write(tmp_path, b'\xef\xbb\xbf{"a":\n[1, 2.5, "\xc3\xa9"]}')
    assert read_json(path) == {"a": [1, 2.5, "é"]}
    with pytest.raises(ValueError, match=r"^photos\.jsonl: not JSON"):
        read_json(write(tmp_path, b"{"))


def test_ordinary_numbers_are_kept():
    assert parse_json(b"[18446744073709551615, -1, 0.5, 1e300]") == [2**64 - 1, -1, 0.5, 1e300]
    with pytest.raises(ValueError):
        format_line({"seconds": math.nan})
