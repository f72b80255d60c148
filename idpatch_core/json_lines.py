"""Reads JSON and files of JSON lines that users wrote: what is wrong costs its own line only."""

import codecs
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

MAX_DIGITS = 20  # of a whole number, as 2**64 has; a longer one is read as a float
MAX_DEPTH = 50
TOO_DEEP = f"lists and objects are nested more than {MAX_DEPTH} deep."
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SEPARATORS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class Line(NamedTuple):
    """One line of a file: its JSON value, or the problem, which names the file and the line."""

    number: int
    value: Any
    problem: str | None


def read_lines(path: Path) -> list[Line]:
    """Read the lines of a file that are not empty.

    Only "\\n" ends a line; other separators of Unicode may stand inside a text. Raises ValueError
    if the file cannot be read at all.
    """
    lines = []
    for number, line in enumerate(_read_utf8(path).split(b"\n"), start=1):
        if line.strip():
            try:
                lines.append(Line(number, parse_json(line), None))
            except ValueError as error:
                lines.append(Line(number, None, f"{path.name}, line {number}: {error}"))
    return lines


def read_json(path: Path) -> Any:
    """Read a file that holds one JSON value; raises ValueError if it is not usable."""
    value = read_unchecked_json(path)
    try:
        check_value(value)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    return value


def read_unchecked_json(path: Path) -> Any:
    """Read a file as `read_json` does, for a caller that calls `check_value` on its parts."""
    try:
        return _parse(_read_utf8(path))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


def _read_utf8(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    if content.startswith(UTF16) or b"\0" in content[:2]:  # JSON begins with an ASCII character
        raise ValueError(f"{path} is in UTF-16. Save it as UTF-8.")
    return content.removeprefix(codecs.BOM_UTF8)


def parse_json(content: bytes) -> Any:
    """Return a JSON value that passes `check_value`.

    Raises ValueError with one sentence that says what is wrong.
    """
    value = _parse(content)
    check_value(value)
    return value


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content.decode(), parse_int=_parse_whole)
    except UnicodeDecodeError as error:
        byte, column = content[error.start], error.start + 1
        raise ValueError(
            f"byte {byte:#04x} at column {column} is not UTF-8. Save the file as UTF-8."
        ) from None
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at column {error.colno}.") from None


def _parse_whole(text: str) -> int | float:
    return int(text) if len(text) <= MAX_DIGITS else float(text)


def check_value(value: Any, depth: int = 0) -> None:
    """Raise ValueError unless all numbers are finite and all texts can be written as UTF-8."""
    if depth > MAX_DEPTH:
        raise ValueError(TOO_DEEP)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected finite numbers, got {value}.")
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a text holds the character U+0000.")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            half = ascii(value[error.start]).strip("'")
            raise ValueError(f"a text holds {half}, which is half a character.") from None
    elif isinstance(value, dict):
        for key, item in value.items():
            check_value(key, depth)
            check_value(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            check_value(item, depth + 1)


def format_line(value: Any) -> str:
    """Return a value as one line of JSON, which also programs that split at U+2028 read as one."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    for separator, escape in SEPARATORS.items():
        text = text.replace(separator, escape)
    return text + "\n"
