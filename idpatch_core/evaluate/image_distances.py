"""Measures each system's FID and KID."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch

from ..read_image import IMAGE_SUFFIXES
from . import image_metrics
from .case import Case
from .scoring import UnreadableFile, read_image_file


def measure_distances(
    cases: Sequence[Case], weights: Path | None, real: Path | None
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Return `fid` and `kid`, in thousandths, of each system, and notices.

    The real images are those below the folder `real`, by default the cases' own truths. `weights`
    are InceptionV3's. What is not measured has a notice.
    """
    weights = weights or image_metrics.find_inception_weights()
    if weights is None:
        return {}, [
            "No FID and KID: give --inception with the InceptionV3 weights of torch-fidelity "
            "(weights-inception-2015-12-05-6726825d.pth). Nothing is downloaded."
        ]
    distances: dict[str, dict[str, float]] = {}
    notices: list[str] = []
    known: dict[tuple[Path, ...], image_metrics.ImageFeatures] = {}
    for system in dict.fromkeys(case.system for case in cases):
        own = [case for case in cases if case.system == system]
        if real is not None:
            paths = tuple(p for p in sorted(real.rglob("*")) if p.suffix.lower() in IMAGE_SUFFIXES)
        else:
            paths = tuple(case.truth for case in own if case.truth is not None)
        try:
            network = image_metrics.load_feature_network(weights)
            if paths not in known:  # systems on the same cases share their real images
                known = {paths: image_metrics.collect_features(_read_image_tensors(paths), network)}
            results = (case.result for case in own if case.problem is None)
            generated = image_metrics.collect_features(_read_image_tensors(results), network)
        except (ValueError, OSError, RuntimeError) as error:
            notices.append(f"No FID and KID for {system}: {error}")
            continue
        distances[system] = {
            "fid": image_metrics.compute_fid(known[paths], generated),
            "kid": 1000 * image_metrics.compute_kid(known[paths], generated),
        }
        notices += filter(None, [image_metrics.warn_of_few_images(system, known[paths], generated)])
    return distances, notices


def _read_image_tensors(paths: Iterable[Path]) -> Iterator[torch.Tensor]:
    for path in paths:
        try:
            image = read_image_file(path)
        except UnreadableFile:
            continue  # listed by name among the problems
        yield torch.from_numpy(image.copy()).permute(2, 0, 1)
