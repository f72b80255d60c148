"""Words for a value that is not what was expected, and text that any log can hold."""

from typing import Any

LONGEST_TEXT = 40  # characters that an error quotes
HUGE = 10**30


def escape_surrogates(text: str) -> str:
    r"""Return a text with its lone surrogates, which UTF-8 cannot hold, as \ud800.

    ComfyUI's queue stops for good at an error or warning that its log cannot write.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def describe_value(value: Any) -> str:
    """Return what a value is, as in "expected an image, got a list of 2"."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return repr(value if len(value) <= LONGEST_TEXT else f"{value[: LONGEST_TEXT - 3]}...")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool | int):
        # Python refuses to write thousands of digits.
        return str(value).lower() if abs(value) < HUGE else "a huge number"
    if isinstance(value, dict):
        keys = ", ".join(str(key)[:LONGEST_TEXT] for key in list(value)[:6])
        return f"an object with {keys}" if keys else "an empty object"
    if type(value) in (list, tuple):
        return f"a list of {len(value)}"
    shape = getattr(value, "shape", None)
    kind = type(value).__name__
    return kind if shape is None else f"{kind} {tuple(shape)}"
