"""python -m idpatch_core.evaluate: scores the identities and placements in group photos."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import journal
from ..arcface import embed, load_arcface
from ..face_detector import YUNET, load_detector
from ..verification.scorer import FaceScorer, load_scorer, make_conditioning_scorer
from . import image_metrics, report, table
from .case import IMAGE_SUFFIXES, Case
from .cases import read_cases
from .scoring import Evaluators, UnreadableFile, read_image, score_cases


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
        "--results", type=Path, help="folder of the generated images, for benchmarks"
    )
    parser.add_argument("--root", type=Path, help="folder that the source's paths are relative to")
    parser.add_argument("--scorer", type=Path, help="face-recognition model that scores (.onnx)")
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
    parser.add_argument("--inception", type=Path, help="InceptionV3 weights; adds the FID")
    parser.add_argument("--real", type=Path, help="folder of real images for the FID")
    parser.add_argument("--seed", type=int, default=0, help="seed of the confidence intervals")
    return parser.parse_args(arguments)


def load_evaluators(options: argparse.Namespace) -> Evaluators:
    """Load the detector, the scorer and CLIP of the options."""
    if (options.scorer is None) == (options.face_model is None):
        raise ValueError(
            "Give --scorer with an independent face-recognition model (.onnx), or --face-model to "
            "score with the conditioning model, which is biased towards its own embeddings."
        )
    if options.scorer is not None:
        scorer = load_scorer(options.scorer, int(os.environ.get("LOCAL_RANK", "0")))
    else:
        scorer = _load_conditioning_scorer(options.face_model)
    if options.threshold is not None:
        scorer = scorer._replace(threshold=options.threshold)
    clip = image_metrics.load_clip_similarity(options.clip) if options.clip else None
    detector = load_detector(options.detector)
    return Evaluators(options.detector, detector.detect, scorer, clip, options.clip or "")


def _load_conditioning_scorer(path: Path) -> FaceScorer:
    network = load_arcface(path)

    def embed_crops(crops: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return embed(network, torch.from_numpy(np.ascontiguousarray(crops))).numpy()

    return make_conditioning_scorer(path.stem, embed_crops)


def read_all_cases(options: argparse.Namespace) -> list[Case]:
    """Return the cases of all sources."""
    cases: list[Case] = []
    for source in options.sources:
        system, equals, path = source.partition("=")
        if not equals or Path(source).exists():
            system, path = Path(source).stem, source
        cases += read_cases(path, system, options.results, options.root)
    if not cases:
        raise ValueError(f"{', '.join(options.sources)}: there are no cases to evaluate.")
    return cases


def score_distributed(
    cases: list[Case], evaluators: Evaluators, folder: Path
) -> list[dict[str, Any]] | None:
    """Score the cases in the processes that accelerate launched; None except in the main one."""
    from tqdm import tqdm

    def progress(main: bool) -> Callable[[Iterable], Iterable]:
        return lambda items: tqdm(items, desc="Scoring", unit="image", disable=not main)

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return list(score_cases(cases, evaluators, folder, progress=progress(True)))
    from accelerate import PartialState
    from accelerate.utils import gather_object

    # The processes exchange records, not tensors; the first may wait a long time for the last.
    state = PartialState(cpu=True, timeout=timedelta(days=30))
    rank, show = state.process_index, progress(state.is_main_process)
    share: Any  # typed by accelerate as whatever it can split
    with state.split_between_processes(cases) as share:
        scored = list(score_cases(list(share), evaluators, folder, rank, show))
    gathered = gather_object(scored)
    return gathered if state.is_main_process else None


def measure_fid(
    cases: Sequence[Case], options: argparse.Namespace
) -> tuple[dict[str, float], list[str]]:
    """Return the FID of each system, and a notice for each without one."""
    weights = options.inception or image_metrics.find_inception_weights()
    if weights is None:
        return {}, [
            "No FID: give --inception with the InceptionV3 weights of torch-fidelity "
            "(weights-inception-2015-12-05-6726825d.pth). Nothing is downloaded."
        ]
    fids, notices = {}, []
    for system in dict.fromkeys(case.system for case in cases):
        own = [case for case in cases if case.system == system]
        if options.real is not None:
            files = sorted(options.real.rglob("*"))
            real = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
        else:
            real = [case.truth for case in own if case.truth is not None]
        try:
            results = [case.result for case in own if case.problem is None]
            fids[system] = image_metrics.compute_fid(
                _read_tensors(real), _read_tensors(results), weights
            )
        except (ValueError, OSError, RuntimeError) as error:
            notices.append(f"No FID for {system}: {error}")
    return fids, notices


def _read_tensors(paths: Iterable[Path]) -> Iterator[torch.Tensor]:
    for path in paths:
        try:
            image = read_image(path)
        except UnreadableFile:
            continue  # listed by name among the problems
        yield torch.from_numpy(image.copy()).permute(2, 0, 1)


def write_results(
    options: argparse.Namespace,
    records: list[dict[str, Any]],
    evaluators: Evaluators,
    fids: dict[str, float],
    notices: list[str],
) -> str:
    """Write the tables and the report; return the text to print."""
    settings, threshold = evaluators.settings, evaluators.scorer.threshold
    rows = table.summarise(records, threshold, options.seed, fids)
    problems = [record for record in records if "problem" in record]
    overall = [row for row in rows if row.people is None]
    by_people = [row for row in rows if row.people is not None]
    lines = [
        table.rows_to_text(overall, table.PAPER_COLUMNS),
        "",
        table.rows_to_text(by_people, table.PAPER_COLUMNS),
        "",
        table.rows_to_text(rows, table.select_measured(rows, table.MORE_COLUMNS)),
        "",
        f"Scored by {settings['scorer']}; same person from a cosine of {threshold:.3f}. "
        f"Faces found by {settings['detector']}. "
        f"[95 % bootstrap interval over images, seed {options.seed}]",
        *notices,
    ]
    if problems:
        lines.append(
            f"{len(problems)} of {len(records)} images could not be scored and count as failed:"
        )
        lines += [
            f"  {r['system']} {r['id']}: {r['problem']['file']}: {r['problem']['reason']}"
            for r in problems
        ]
    text = "\n".join(lines)
    content = {
        "settings": settings,
        "seed": options.seed,
        "rows": table.rows_to_json(rows),
        "problems": [{k: r[k] for k in ("system", "id", "problem")} for r in problems],
        "notices": notices,
        "cases": records,
    }
    source = ", ".join(options.sources)
    files = {
        "table.txt": text + "\n",
        "table.csv": table.rows_to_csv(rows),
        "cases.csv": table.cases_to_csv(records, threshold),
        "results.json": json.dumps(content, indent=1, ensure_ascii=False),
        "report.html": report.render_report(source, records, rows, settings, options.seed, notices),
    }
    for name, body in files.items():
        journal.write_whole(options.out / name, body.encode())
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        cases, evaluators = read_all_cases(options), load_evaluators(options)
        records = score_distributed(cases, evaluators, options.out)
        if records is None:
            return 0
        fids, notices = measure_fid(cases, options)
        text = write_results(options, records, evaluators, fids, notices)
    except (ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {journal.describe_os_error(error, options.out)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to resume.", file=sys.stderr)
        return 130
    print(text)
    print(f"\nReport: {options.out / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
