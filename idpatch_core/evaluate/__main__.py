"""python -m idpatch_core.evaluate: scores the identities and placements in group photos."""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import journal
from ..arcface import embed, load_arcface
from ..face_detector import YUNET, load_detector
from ..verification.scorer import FaceScorer, load_scorer, make_conditioning_scorer
from . import image_metrics
from .case import Case
from .cases import read_cases
from .comparison import check_same_cases
from .image_distances import measure_distances
from .output import ScoredCases, write_results
from .record_store import SavedRecords, SelectedRecords
from .scoring import Evaluators, score_cases


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m idpatch_core.evaluate",
        description="Score the identities and placements in group photos of any system. An "
        "interrupted run resumes. For several processes or machines, with GPUs or without: "
        "accelerate launch --multi_gpu --num_processes N -m idpatch_core.evaluate ...",
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="[SYSTEM=]SOURCE",
        help="a .jsonl of cases, a folder with results.jsonl or cases.jsonl, a folder of "
        "MultiID-Bench results, a MultiID-Bench index (p1.json) or MultiHuman-Testbench's "
        "metadata; SYSTEM= gives the name of the system that generated the images",
    )
    parser.add_argument("--out", type=Path, default=Path("evaluation"), help="folder to write to")
    parser.add_argument(
        "--results",
        action="append",
        default=[],
        metavar="[SYSTEM=]FOLDER",
        help="folder of the generated images, for benchmarks; with SYSTEM=, once for each system "
        "whose images of the same cases are evaluated",
    )
    parser.add_argument(
        "--baseline",
        metavar="SYSTEM",
        help="compare each other system with this one, on the same cases: paired differences",
    )
    parser.add_argument("--root", type=Path, help="folder that the source's paths are relative to")
    parser.add_argument(
        "--scorer",
        type=Path,
        action="append",
        default=[],
        help="face-recognition model that scores (.onnx); given several times, values are means",
    )
    parser.add_argument(
        "--face-model",
        type=Path,
        help="score with the conditioning IR-SE50 instead; its scores are biased upwards",
    )
    parser.add_argument(
        "--detector", default=YUNET, help="yunet, or the folder of an insightface model pack"
    )
    parser.add_argument(
        "--threshold", type=float, help="cosine from which two faces count as one person"
    )
    parser.add_argument("--clip", help="folder of a CLIP model; adds the similarity to the prompt")
    parser.add_argument("--inception", type=Path, help="InceptionV3 weights; adds FID and KID")
    parser.add_argument("--real", type=Path, help="folder of real images for FID and KID")
    parser.add_argument("--seed", type=int, default=0, help="seed of the confidence intervals")
    return parser.parse_args(arguments)


def load_evaluators(options: argparse.Namespace) -> list[Evaluators]:
    """Load the detector, CLIP and each scorer of the options."""
    if bool(options.scorer) == (options.face_model is not None):
        raise ValueError(
            "Give --scorer with an independent face-recognition model (.onnx), or --face-model to "
            "score with the conditioning model, which is biased towards its own embeddings."
        )
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    scorers = [load_scorer(path, rank) for path in options.scorer]
    if options.face_model is not None:
        scorers = [_load_conditioning_scorer(options.face_model)]
    names = [scorer.name for scorer in scorers]
    if len(set(names)) < len(names):
        raise ValueError(f"--scorer: expected files of different names, got {', '.join(names)}.")
    if options.threshold is not None:
        scorers = [scorer._replace(threshold=options.threshold) for scorer in scorers]
    clip = image_metrics.load_clip_similarity(options.clip) if options.clip else None
    detector = load_detector(options.detector)
    return [
        Evaluators(options.detector, detector.detect, scorer, clip, options.clip or "")
        for scorer in scorers
    ]


def _load_conditioning_scorer(path: Path) -> FaceScorer:
    network = load_arcface(path)

    def embed_crops(crops: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return embed(network, torch.from_numpy(np.ascontiguousarray(crops))).numpy()

    return make_conditioning_scorer(path.stem, embed_crops)


def read_all_cases(options: argparse.Namespace) -> list[Case]:
    """Return the cases of all sources; with named folders of results, those of each system."""
    cases: list[Case] = []
    for source in options.sources:
        own, path = split_name(source)
        folders = [split_name(folder) for folder in options.results] or [(None, None)]
        if len(folders) > 1 and not all(name for name, _ in folders):
            raise ValueError("--results: with several folders, give each as SYSTEM=FOLDER.")
        for system, folder in folders:
            name = system or own or Path(path).stem
            cases += read_cases(path, name, folder, options.root)
    if not cases:
        raise ValueError(f"{', '.join(options.sources)}: there are no cases to evaluate.")
    return cases


def split_name(argument: str) -> tuple[str | None, str]:
    """Split SYSTEM=PATH; the first is None if there is no name, or if it belongs to the path."""
    name, equals, path = argument.partition("=")
    return (None, argument) if not equals or Path(argument).exists() else (name, path)


def score_distributed(cases: list[Case], evaluators: Evaluators, folder: Path) -> list[str] | None:
    """Score the cases in the processes that accelerate launched.

    Returns the fingerprints of all records, which are on the disk; None except in the main process.
    """
    from tqdm import tqdm

    def score(part: Sequence[Case], rank: int, main: bool) -> list[str]:
        def progress(items: Iterable) -> Iterable:
            return tqdm(items, desc="Scoring", unit="image", disable=not main)

        records = score_cases(part, evaluators, folder, rank, progress)
        return [record["key"] for record in records]

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return score(cases, 0, True)
    from accelerate import PartialState
    from accelerate.utils import gather_object

    # The processes exchange fingerprints, not tensors; the first may wait a long time.
    state = PartialState(cpu=True, timeout=timedelta(days=30))
    share: Any  # typed by accelerate as whatever it can split
    with state.split_between_processes(cases) as share:
        keys = score(list(share), state.process_index, state.is_main_process)
    gathered = gather_object(keys)
    return gathered if state.is_main_process else None


def evaluate(options: argparse.Namespace) -> str | None:
    """Score all cases and write the results; return the text to print, in the main process."""
    cases, scored = read_all_cases(options), []
    if options.baseline:  # before hours of scoring
        check_same_cases(((c.system, c.id, len(c.people)) for c in cases), options.baseline)
    for evaluators in load_evaluators(options):
        keys = score_distributed(cases, evaluators, options.out)
        if keys is not None:
            records = SelectedRecords(SavedRecords(options.out), keys)
            scored.append(ScoredCases(records, evaluators))
    if not scored:
        return None
    distances, notices = measure_distances(cases, options.inception, options.real)
    source = ", ".join(options.sources)
    return write_results(
        options.out, source, scored, distances, notices, options.baseline, options.seed
    )


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        text = evaluate(options)
    except (ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {journal.describe_os_error(error, options.out)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to resume.", file=sys.stderr)
        return 130
    if text is not None:
        print(f"{text}\n\nReport: {options.out / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
