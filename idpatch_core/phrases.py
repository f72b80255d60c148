"""A phrase for each person: clothes, expression, hair, age."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from .layout import count_of, join_names

PHRASE = "{phrase}"  # its place in the caption of a person


class Caption(NamedTuple):
    """A prompt for one person alone, encoded: `tokens` (N, C), `person` is their index."""

    person: int
    tokens: Tensor


def read_phrases(text: str, names: Sequence[str]) -> list[str]:
    """Return each person's phrase, in the order of `names`; empty for someone without one.

    `text` has a line `Name: phrase` for each person, or is a JSON object of names and phrases, or a
    JSON list of phrases in the order of the people, null for no phrase. Raises a ValueError for
    anything else, and for someone who is not among the people.
    """
    text = text.strip()
    if text.startswith("["):
        return _read_phrases(_load_phrases(text), names)
    pairs = list(_load_phrases(text).items()) if text.startswith("{") else _read_lines(text, names)
    phrases = [""] * len(names)
    for name, phrase in pairs:
        if names.count(name) != 1:
            having = f"{names.count(name)} people have" if name in names else "no one has"
            raise ValueError(
                f"phrases: {having} the name {name!r} in id_hint, which holds {join_names(names)}. "
                "Write a name as it stands there, with its capitals, or give the phrases in the "
                'order of the people, as JSON: ["red shirt", null].'
            )
        index = names.index(name)
        if phrases[index]:
            raise ValueError(f"phrases: {name} has two of them. Join them in one line.")
        phrases[index] = _check_phrase(phrase, name)
    return phrases


def _load_phrases(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"phrases: it begins like JSON, but is not: {error}. Write a line for each person, "
            'like "Ada: red shirt, smiling".'
        ) from None


def _read_phrases(phrases: list[Any], names: Sequence[str]) -> list[str]:
    if len(phrases) != len(names):
        raise ValueError(
            f"phrases: {count_of(len(phrases), 'phrase')} for {join_names(names)}. Give each "
            "person one, or null for no phrase."
        )
    return [_check_phrase(phrase, name) for phrase, name in zip(phrases, names, strict=True)]


def _check_phrase(phrase: Any, name: str) -> str:
    if phrase is not None and not isinstance(phrase, str):
        raise ValueError(
            f"phrases: that of {name} must be text or null, got {json.dumps(phrase)[:40]}."
        )
    return (phrase or "").strip()


def _read_lines(text: str, names: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    for line in filter(None, map(str.strip, text.splitlines())):
        # A name may hold a colon itself; the longest that fits is meant.
        fitting = [name for name in names if line.startswith(f"{name}:")]
        name = max(fitting, key=len, default=line.partition(":")[0].strip())
        if ":" not in line:
            raise ValueError(
                f"phrases: {line[:40]!r} has no name. Write a line for each person, like "
                f'"{names[0]}: red shirt, smiling".'
            )
        pairs.append((name, line[len(name) :].partition(":")[2]))
    return pairs


def complete_phrases(phrases: Sequence[str], more: Sequence[str]) -> list[str]:
    """Return the phrases, with those of `more` for the people who have none.

    `more` holds one entry for each person, or none at all.
    """
    pairs = zip(phrases, more or [""] * len(phrases), strict=True)
    return [phrase or other for phrase, other in pairs]


def make_caption(caption: str, phrase: str) -> str:
    """Return the prompt for one person: `caption` with the phrase in its place."""
    if PHRASE not in caption:
        raise ValueError(
            f"caption: it has no {PHRASE}, the place of each person's phrase, got {caption[:60]!r}."
        )
    return caption.replace(PHRASE, phrase)


def warn_of_missing(phrases: Iterable[str], names: Iterable[str]) -> str:
    """Return a warning that names the people without a phrase, otherwise an empty string."""
    without = [name for name, phrase in zip(names, phrases, strict=True) if not phrase]
    if not without:
        return ""
    return f"phrases: none for {', '.join(without)}; the positive prompt describes them."
