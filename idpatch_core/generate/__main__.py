"""Makes many group photos on one ComfyUI or several: python -m idpatch_core.generate"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import journal
from ..comfyui.errors import ComfyError
from ..comfyui.events import Event
from ..comfyui.workflows import api_file, read_graph
from .dispatch import Outcome, dispatch_to_ray, dispatch_to_threads
from .jobs import Job, read_jobs
from .ledger import Ledger, format_results
from .worker import Worker

DEFAULT_SERVER = "http://127.0.0.1:8188"
DEFAULT_WORKFLOW = api_file("group_photo")


def parse_generate_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m idpatch_core.generate",
        description="Make many group photos on one ComfyUI or several. An interrupted run resumes "
        "when the same command is run again: nothing is made twice, no finished photo is lost.",
    )
    parser.add_argument("photos", type=Path, help="JSON lines file of group photos, one a line")
    parser.add_argument(
        "--out", type=Path, default=Path("photos"), help="folder to write to (default: photos)"
    )
    parser.add_argument(
        "--server",
        action="append",
        help=f"address of a running ComfyUI; repeat it for several (default: {DEFAULT_SERVER})",
    )
    parser.add_argument(
        "--workflow",
        type=Path,
        default=DEFAULT_WORKFLOW,
        help="workflow in API form, with the names of your model files "
        "(default: the bundled group_photo)",
    )
    parser.add_argument(
        "--ray",
        action="store_true",
        help="run on a Ray cluster: that of RAY_ADDRESS, or a local one",
    )
    parser.add_argument(
        "--comfyui",
        help="with --ray: folder of a ComfyUI, the same on every machine, which each worker starts "
        "in place of --server",
    )
    parser.add_argument("--workers", type=int, default=1, help="with --comfyui: number of workers")
    parser.add_argument(
        "--gpus", type=float, default=1.0, help="with --comfyui: GPUs of each worker"
    )
    return parser.parse_args(arguments)


def generate_photos(options: argparse.Namespace) -> int:
    """Make the photos that are not made yet and return the exit code."""
    from tqdm import tqdm

    try:
        template = read_graph(options.workflow)
    except ValueError as error:
        raise ValueError(f"--workflow: {error}") from None
    if not options.photos.is_file():
        raise ValueError(f"photos: no such file: {options.photos}")
    jobs, problems = read_jobs(options.photos, template)
    base = options.photos.parent
    options.out.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(options.out)
    remaining = [job for job in jobs if ledger.find_record(job) is None]
    failures: list[str] = []
    made_before = len(jobs) - len(remaining)
    bar = tqdm(total=len(jobs), initial=made_before, desc="Photos", unit="photo")

    def on_outcome(outcome: Outcome) -> None:
        if outcome.images is None:
            failures.append(f"{outcome.job.case.id}: {outcome.error}")
            bar.write(f"failed: {failures[-1]}", file=sys.stderr)
        else:
            ledger.save_images(outcome.job, outcome.images.pngs, outcome.images.seconds)
        bar.update()

    def on_event(job: Job, event: Event) -> None:
        if event.kind == "progress":
            bar.set_postfix_str(f"{job.case.id} {event.title} {event.value}/{event.total}")

    try:
        if options.ray:
            dispatch_to_ray(
                options.server,
                options.workers,
                options.gpus,
                options.comfyui or "",
                remaining,
                ledger,
                template,
                base,
                on_outcome,
            )
        else:
            dispatch_to_threads(
                options.server,
                remaining,
                ledger,
                lambda url: Worker(template, base, url),
                on_outcome,
                on_event,
            )
    finally:
        bar.close()
        results = format_results(jobs, ledger, options.out, base)
        journal.write_whole(options.out / "results.jsonl", results.encode())
        ledger.close()
    for problem in (*problems, *failures):
        print(f"not made: {problem}", file=sys.stderr)
    made = sum(1 for job in jobs if ledger.find_record(job))
    print(f"{made} of {len(jobs) + len(problems)} photos: {options.out / 'results.jsonl'}")
    return 1 if problems or failures else 0


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_generate_options(arguments)
    options.server = options.server or [DEFAULT_SERVER]
    try:
        return generate_photos(options)
    except (ValueError, ComfyError) as error:
        return fail(f"error: {error}", 2)
    except KeyboardInterrupt:
        return fail("\nStopped. Run the same command again to resume.", 130)


def fail(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
