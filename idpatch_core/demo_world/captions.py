"""The words of the scenes' captions: how many people, the wall, clothes and expressions."""

import numpy as np

from .people import Appearance

COUNT_PHRASES = ("nobody", "one person", "two people", "three people", "four people")
COUNT_PHRASES += ("five people", "six people", "seven people", "eight people")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
EXPRESSIONS = {
    "frown": "frowning",
    "laughing": "laughing",
    "nervous": "nervous",
    "pucker": "whistling",
    "sad": "sad",
    "smile": "smiling",
    "smirk": "smirking",
    "surprised": "surprised",
}  # of a mouth


def describe_group(count: int, wall: str, uniform: str, mouth: str = "", rows: int = 1) -> str:
    """Return a caption; `uniform` is the shirts' colour and `mouth` the expression of each person.

    Both are empty if people differ in them.
    """
    arrangement = " in two rows" if rows == 2 else ""
    caption = f"{COUNT_PHRASES[count]}{arrangement} in front of {_with_article(wall)} wall"
    if uniform:
        caption += f", wearing {uniform} {'shirts' if count > 1 else 'shirt'}"
    return f"{caption}, {EXPRESSIONS[mouth]}" if mouth else caption


def describe_person(
    random: np.random.Generator, position: int, appearance: Appearance, uniform: str, mouth: str
) -> str:
    """Return what follows a caption: one person's shirt, expression or both.

    `position` counts from the left, from 0. What each person has is not repeated.
    """
    shirt = f" in {_with_article(appearance.shirt)} shirt" if not uniform else ""
    expression = f" {EXPRESSIONS[appearance.mouth]}" if not mouth else ""
    kind = int(random.integers(3))
    if shirt and expression:
        shirt, expression = shirt * (kind != 1), expression * (kind != 0)
    if not shirt + expression:
        return ""
    return f", the {ORDINALS[position]} person from the left{shirt}{expression}"


def _with_article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
