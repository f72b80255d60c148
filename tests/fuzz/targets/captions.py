"""Captions and people of `prepare`'s JSON, and the texts of nodes: phrases, people, weights."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from idpatch_core.comfyui.environment import REPOSITORY
from idpatch_core.encode import name_people, parse_names, parse_weights
from idpatch_core.people import parse_people
from idpatch_core.phrases import make_caption, read_phrases, warn_of_missing
from idpatch_core.training.sources import FileSlice, read_annotation

from ..mutations import mutate_json
from ..target import Target

NAMES = ("Ada", "Bo: junior", "Cleo")
MOST_TOKENISED = 2000  # characters; the tokenizer takes long for more


@cache
def load_tokenizer() -> Any:
    """Return the demo models' tokenizer, of the kind that `prepare` encodes captions with."""
    from transformers import CLIPTokenizer

    folder = REPOSITORY / "idpatch_core" / "demo" / "models" / "tokenizer"
    return CLIPTokenizer.from_pretrained(str(folder))


def read_texts(data: bytes, folder: Path) -> None:
    """Read one text in every way that it may be meant."""
    file = folder / "a.json"
    file.write_bytes(data)
    readers = (
        lambda: _tokenise(read_annotation(FileSlice(str(file))).caption),
        lambda: _read_phrases(data.decode()),
        lambda: parse_people(data.decode()),
        lambda: name_people(parse_names(data.decode()), 2, 1),
        lambda: parse_weights(data.decode()),
    )
    accepted = [_read_text(read) for read in readers[:3]]
    for read in readers[3:]:  # which take nearly any text
        _read_text(read)
    if not any(accepted):
        raise ValueError("refused by all")


def _read_text(read: Any) -> bool:
    try:
        read()
    except ValueError:
        return False
    return True


def _tokenise(caption: str) -> None:
    options = {"padding": "max_length", "max_length": 77, "truncation": True}
    ids = load_tokenizer()([caption[:MOST_TOKENISED]], **options).input_ids
    assert len(ids[0]) == 77


def _read_phrases(text: str) -> None:
    phrases = read_phrases(text, NAMES)
    warn_of_missing(phrases, NAMES)
    for phrase in phrases:
        make_caption("a photo of {phrase}", phrase)


def make_seeds() -> list[bytes]:
    keypoints = [[44, 40], [64, 40], [54, 52], [46, 64], [62, 64]]
    person = {"group": "ada", "box": [30, 20, 78, 80], "keypoints": keypoints}
    annotation = {"caption": "two people in a park", "people": [person]}
    posed = {"people": [{**person, "pose": [[1.0, 2.0, 0.5]] * count} for count in (17, 18)]}
    photo = {"file": "bo.jpg", "face": [0.5, 0.25], "weight": 2}
    people = [{"name": "Ada", "photos": ["ada.jpg", photo], "token_strength": 0.5}]
    texts = [annotation, posed, people, {"version": 1, "people": people}]
    texts += [{"Ada": "red shirt", "Cleo": None}, ["red shirt", None, ""]]
    lines = "Ada: red shirt\nBo: junior: smiling\nCleo: a hat"
    plain = (lines.encode(), b"Ada, Bo\nCleo", b"1, 0.5, 2", b"[" * 5000, b"1" * 5000)
    return [*(json.dumps(text).encode() for text in texts), *plain]


TARGET = Target(read_texts, make_seeds, mutate_json)
