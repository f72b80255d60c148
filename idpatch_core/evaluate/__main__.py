"""python -m idpatch_core.evaluate: did every system put everybody in the right place?"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from .. import journal
from ..face_detector import YUNET, load_detector
from ..verification import metrics
from ..verification.scorer import Scorer, conditioning_scorer, load_scorer
from . import report, table
from .cases import PICTURES, Case, read_cases
from .scoring import Evaluators, UnreadableFile, read_picture, score_all


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m idpatch_core.evaluate",
        description="Score group photos of any system: who is where, and is it them? Interrupted "
        "runs go on where they were. Several processes or machines, with GPUs or without: "
        "accelerate launch --multi_gpu --num_processes N -m idpatch_core.evaluate ...",
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="[SYSTEM=]SOURCE",
        help="a .jsonl of cases, a folder with results.jsonl or cases.jsonl, a folder of "
        "MultiID-Bench results, a MultiID-Bench index (p1.json) or MultiHuman-Testbench's "
        "metadata; before an equals sign the name of the system that made the pictures",
    )
    parser.add_argument("--out", type=Path, default=Path("evaluation"), help="folder to write to")
    parser.add_argument("--results", type=Path, help="folder of the pictures, for benchmarks")
    parser.add_argument("--root", type=Path, help="folder that the source's paths start from")
    parser.add_argument("--scorer", type=Path, help="face recogniser that scores (.onnx)")
    parser.add_argument(
        "--face-model",
        type=Path,
        help="score with the IR-SE50 that conditions instead; this flatters and is marked so",
    )
    parser.add_argument(
        "--detector", default=YUNET, help="yunet, or the folder of an insightface pack"
    )
    parser.add_argument("--threshold", type=float, help="cosine from which faces are one person")
    parser.add_argument("--clip", help="folder of a CLIP model: adds the similarity to the prompt")
    parser.add_argument("--inception", type=Path, help="InceptionV3 weights: adds the FID")
    parser.add_argument("--real", type=Path, help="folder of real pictures for the FID")
    parser.add_argument("--seed", type=int, default=0, help="seed of the confidence intervals")
    return parser.parse_args(arguments)


def load_evaluators(options: argparse.Namespace) -> Evaluators:
    """Load the detector, the scorer and CLIP that the options ask for."""
    if (options.scorer is None) == (options.face_model is None):
        raise ValueError(
            "Give --scorer with an independent face recogniser (.onnx), or --face-model to score "
            "with the network that conditions, which flatters."
        )
    if options.scorer is not None:
        scorer = load_scorer(options.scorer, int(os.environ.get("LOCAL_RANK", "0")))
    else:
        scorer = _conditioning(options.face_model)
    if options.threshold is not None:
        scorer = scorer._replace(threshold=options.threshold)
    clip = metrics.load_clip_similarity(options.clip) if options.clip else None
    detector = load_detector(options.detector)
    return Evaluators(options.detector, detector.detect, scorer, clip, options.clip or "")


def _conditioning(path: Path) -> Scorer:
    import torch

    from ..arcface import embed, load_arcface

    network = load_arcface(path)

    def embed_crops(crops: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return embed(network, torch.from_numpy(np.ascontiguousarray(crops))).numpy()

    return conditioning_scorer(path.stem, embed_crops)


def all_cases(options: argparse.Namespace) -> list[Case]:
    """Return the cases of every source; two with one name in a system stay apart."""
    cases: list[Case] = []
    for source in options.sources:
        system, equals, path = source.partition("=")
        if not equals or Path(source).exists():
            system, path = Path(source).stem, source
        cases += read_cases(path, system, options.results, options.root)
    if not cases:
        raise ValueError(f"{', '.join(options.sources)}: there is no case to evaluate.")
    return cases


def distributed(
    cases: list[Case], evaluators: Evaluators, folder: Path
) -> list[dict[str, Any]] | None:
    """Score the cases over the processes that accelerate launched; None but in the main one."""
    from tqdm import tqdm

    def progress(main: bool) -> Callable[[Iterable], Iterable]:
        return lambda some: tqdm(some, desc="Scoring", unit="picture", disable=not main)

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return list(score_all(cases, evaluators, folder, progress=progress(True)))
    from accelerate import PartialState
    from accelerate.utils import gather_object

    # The processes exchange records, no tensors; the first may wait long for the last.
    state = PartialState(cpu=True, timeout=timedelta(days=30))
    rank, show = state.process_index, progress(state.is_main_process)
    share: Any  # typed by accelerate as whatever it can split
    with state.split_between_processes(cases) as share:
        own = list(score_all(list(share), evaluators, folder, rank, show))
    gathered = gather_object(own)
    return gathered if state.is_main_process else None


def measure_fid(
    cases: Sequence[Case], options: argparse.Namespace
) -> tuple[dict[str, float], list[str]]:
    """Return the FID of each system where it can be had, and why not elsewhere."""
    weights = options.inception or metrics.inception_weights()
    if weights is None:
        return {}, [
            "No FID: give --inception with the InceptionV3 weights of torch-fidelity "
            "(weights-inception-2015-12-05-6726825d.pth). Nothing is downloaded."
        ]
    fids, notices = {}, []
    for system in dict.fromkeys(case.system for case in cases):
        own = [case for case in cases if case.system == system]
        if options.real is not None:
            found = sorted(options.real.rglob("*"))
            real = [path for path in found if path.suffix.lower() in PICTURES]
        else:
            real = [case.truth for case in own if case.truth is not None]
        try:
            results = [case.result for case in own if case.problem is None]
            fids[system] = metrics.fid(_tensors(real), _tensors(results), weights)
        except (ValueError, OSError, RuntimeError) as error:
            notices.append(f"No FID for {system}: {error}")
    return fids, notices


def _tensors(paths: Iterable[Path]) -> Iterator[Any]:
    import torch

    for path in paths:
        try:
            picture = read_picture(path)
        except UnreadableFile:
            continue  # listed by name where it is scored
        yield torch.from_numpy(picture.copy()).permute(2, 0, 1)


def write(
    options: argparse.Namespace,
    records: list[dict[str, Any]],
    evaluators: Evaluators,
    fids: dict[str, float],
    notices: list[str],
) -> str:
    """Write the tables and the report; return what to print."""
    settings, threshold = evaluators.settings, evaluators.scorer.threshold
    rows = table.summarise(records, threshold, options.seed, fids)
    problems = [record for record in records if "problem" in record]
    overall = [row for row in rows if row.people is None]
    by_people = [row for row in rows if row.people is not None]
    lines = [
        table.to_text(overall, table.PAPER),
        "",
        table.to_text(by_people, table.PAPER),
        "",
        table.to_text(rows, table.measured(rows, table.MORE)),
        "",
        f"Scored by {settings['scorer']}, one person from {threshold:.3f} on; faces found by "
        f"{settings['detector']}. [95 % bootstrap interval over pictures, seed {options.seed}]",
        *notices,
    ]
    if problems:
        lines.append(
            f"{len(problems)} of {len(records)} pictures could not be scored and count as failed:"
        )
        lines += [
            f"  {r['system']} {r['id']}: {r['problem']['file']}: {r['problem']['what']}"
            for r in problems
        ]
    text = "\n".join(lines)
    content = {
        "settings": settings,
        "seed": options.seed,
        "rows": table.to_json(rows),
        "problems": [{k: r[k] for k in ("system", "id", "problem")} for r in problems],
        "notices": notices,
        "cases": records,
    }
    source = ", ".join(options.sources)
    files = {
        "table.txt": text + "\n",
        "table.csv": table.to_csv(rows),
        "cases.csv": table.cases_to_csv(records, threshold),
        "results.json": json.dumps(content, indent=1, ensure_ascii=False),
        "report.html": report.render(source, records, rows, settings, options.seed, notices),
    }
    for name, body in files.items():
        journal.write_whole(options.out / name, body.encode())
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        cases, evaluators = all_cases(options), load_evaluators(options)
        records = distributed(cases, evaluators, options.out)
        if records is None:
            return 0
        fids, notices = measure_fid(cases, options)
    except (ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on.", file=sys.stderr)
        return 130
    print(write(options, records, evaluators, fids, notices))
    print(f"\nReport: {options.out / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
