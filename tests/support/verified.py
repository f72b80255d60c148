"""Photographed people, images of them, and an independent scorer, for tests of the check."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from photos import Group, compose, read_photos
from scorers import fetch_recogniser
from torch import Tensor

from idpatch_core.alignment import align_face
from idpatch_core.canvas import Hint
from idpatch_core.face_detector import YuNet
from idpatch_core.identity import Identity
from idpatch_core.verification.scorer import load_scorer
from idpatch_core.verification.verdict import Verdict, embed_faces, verify_image

PHOTOS = read_photos()
NAMES = sorted({name.rsplit("_", 1)[0] for name in PHOTOS})
FOUR = NAMES[:4]
DETECT, SCORER = YuNet().detect, load_scorer(fetch_recogniser())


def embed_reference(name: str) -> np.ndarray:
    """Return the scorer's embedding of a person's first photograph."""
    photograph = PHOTOS[f"{name}_1"]
    return embed_faces(photograph, DETECT(photograph)[:1], SCORER)[0]


REFERENCES = {name: embed_reference(name) for name in NAMES}


def verify_group(
    names: Sequence[str | None], people: Sequence[str] = FOUR, extra: Sequence[str] = ()
) -> tuple[Group, Verdict]:
    """Verify an image of `names` (None: no one) and `extra` where `people` were asked for."""
    photographs = [None if name is None else PHOTOS[f"{name}_2"] for name in (*names, *extra)]
    group = compose(photographs)
    embeddings = np.stack([REFERENCES[name] for name in people])
    points = group.points[: len(people)]
    return group, verify_image(group.image, people, embeddings, points, DETECT, SCORER)


THREE = ["ardern", "macron", "obama"]


def make_identity(name: str) -> Identity:
    """Return a person with the crop of their photograph and a constant embedding."""
    photograph = PHOTOS[f"{name}_1"]
    crop = align_face(photograph, YuNet().detect(photograph)[0].keypoints)
    return Identity(name, torch.nn.functional.normalize(torch.ones(512), dim=0), crop)


def draw_group(*names: str | None) -> tuple[Tensor, Hint]:
    """Return an image (1, H, W, 3) of these people, and the hint of THREE at their points."""
    group = compose([None if name is None else PHOTOS[f"{name}_2"] for name in names])
    image = torch.from_numpy(group.image).float()[None] / 255
    hint = torch.zeros(1, 3, *group.image.shape[:2])
    return image, Hint(hint, hint, tuple(group.points), tuple(THREE))


PEOPLE = [make_identity(name) for name in THREE]
RIGHT, HINT = draw_group(*THREE)
SWAPPED, _ = draw_group("macron", "ardern", "obama")
MISSING, _ = draw_group("ardern", None, "obama")


def load_independent_scorer(pack: ModuleType) -> Any:
    """Put the independent recogniser into the models folder and load it with Load Scorer."""
    import folder_paths

    folder = folder_paths.get_folder_paths("idpatch")[0]
    Path(folder).mkdir(parents=True, exist_ok=True)
    for file in (fetch_recogniser(), fetch_recogniser().with_name("fr_feature.onnx.json")):
        shutil.copy(file, folder)
    return pack.nodes.scorer.IDPatchLoadScorer.execute(pack.nodes.scorer.AUTO).result[0]


def verify_identities(
    pack: ModuleType,
    scorer: Any,
    image: Tensor,
    people: list[Identity] | None = None,
    hint: Hint = HINT,
) -> Any:
    """Run Verify Identities, by default on PEOPLE at their points."""
    people = PEOPLE if people is None else people
    return pack.nodes.verify.IDPatchVerify.execute(image, people, hint, scorer)
