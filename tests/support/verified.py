"""Three people, images of them, and an independent scorer for the tests of Verify Identities."""

import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from groups import compose, read_photographs
from scorers import fetch_recogniser
from torch import Tensor

from idpatch_core.alignment import align_face
from idpatch_core.canvas import Hint
from idpatch_core.face_detector import YuNet
from idpatch_core.identity import Identity

PHOTOS = read_photographs()
THREE = ["ardern", "macron", "obama"]


def make_identity(name: str) -> Identity:
    """Return a person with the crop of their photograph and an embedding that says nothing."""
    photograph = PHOTOS[f"{name}_1"]
    crop = align_face(photograph, YuNet().detect(photograph)[0].keypoints)
    return Identity(name, torch.nn.functional.normalize(torch.ones(512), dim=0), torch.tensor(crop))


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
    return pack.nodes.scorer.IDPatchLoadScorer.execute(pack.nodes.scorer.AUTOMATIC).result[0]


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
