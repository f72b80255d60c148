"""The check of finished images: who is at each person's placement."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from ..idpatch_core.canvas import Hint
from ..idpatch_core.identity import Identity, check_not_empty
from ..idpatch_core.layout import Point, has_same_aspect, outside, rescale_points
from ..idpatch_core.upright import detect_people
from ..idpatch_core.verification.scorer import FaceScorer
from ..idpatch_core.verification.verdict import Detect, Verdict, verify_image
from .scorer import LoadedScorer


def embed_identities(
    identities: Sequence[Identity], scorer: FaceScorer, source: str = "identities"
) -> np.ndarray:
    """Return the scorer's embeddings (F, D) of the crops of the people of the input `source`."""
    check_not_empty(source, identities)
    without = [person.name for person in identities if person.crop is None]
    if without:
        raise ValueError(
            f"{source}: {', '.join(without)} came without a face crop, which the scorer needs. "
            "Encode the person from a photo with the Face Encoder."
        )
    return scorer.embed(np.stack([p.crop for p in identities if p.crop is not None]))


def rescale_hint_points(hint: Hint, width: int, height: int) -> list[Point | None]:
    """Return the hint's points in the pixels of an image of this size."""
    if not has_same_aspect((width, height), (hint.width, hint.height)):
        raise ValueError(
            f"image: it is {width}x{height}, which has a different aspect ratio from the hint of "
            f"{hint.width}x{hint.height}. Connect an image that was resized, but not cropped."
        )
    return rescale_points(hint.points, (hint.width, hint.height), (width, height))


class PeopleCheck(NamedTuple):
    """Checks images of one size, in whose pixels the points are."""

    names: list[str]
    references: np.ndarray
    points: list[Point | None]
    detect: Detect
    scorer: FaceScorer

    def verify(self, pixels: np.ndarray) -> Verdict:
        """Return the findings on an image (H, W, 3) uint8 RGB."""
        return verify_image(
            pixels, self.names, self.references, self.points, self.detect, self.scorer
        )


def prepare_check(
    identities: Sequence[Identity],
    id_hint: Hint,
    scorer: LoadedScorer,
    width: int,
    height: int,
    source: str = "identities",
) -> PeopleCheck:
    """Return the check of images of width x height by a scorer.

    Raises ValueError if the people of the input `source` came without crops, or the images have
    another aspect ratio than the hint.
    """
    references = embed_identities(identities, scorer.scorer, source)
    points = rescale_hint_points(id_hint, width, height)
    expected = len(points) - points.count(None) - len(outside(points, width, height))
    detect = partial(detect_people, scorer.detector, people=expected)
    names = [person.name for person in identities]
    return PeopleCheck(names, references, points, detect, scorer.scorer)
