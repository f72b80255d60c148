"""Makes many group photos on one ComfyUI or several: python -m idpatch_core.generate"""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import journal
from ..comfyui.errors import ComfyError
from ..comfyui.events import Event
from ..comfyui.graph import Graph
from ..comfyui.workflows import api_file, read_graph
from .dispatch import Callbacks, Dispatcher
from .jobs import Job, read_jobs
from .lanes import ThreadLanes
from .ledger import Ledger, format_results, open_ledger
from .ray_lanes import open_ray_lanes
from .worker import JobImages, Worker

DEFAULT_SERVER = "http://127.0.0.1:8188"
DEFAULT_WORKFLOW = api_file("group_photo")
EPILOG = """\
A line of the file is one JSON object:
  {"id": "17", "prompt": "...", "width": 1024, "height": 1024, "seed": 5, "people":
   [{"name": "Ada", "references": ["ada.jpg"], "point": [412.5, 230]}]}
Only "people" with "references" is required; "negative", "pose" (a POSE_KEYPOINT or its file) and
"ground_truth" may be added. Paths are relative to the file. A line without "id" has the number of
its line as id. A line without "seed" gets a seed of its own, computed from its id; results.jsonl
records it. A line that cannot be used is reported by its number and costs only itself.

An image is named after the id and a hash of all that made it (the line, the workflow, the photos),
so an edited line never has the image of the old one. Each server has two photos in its queue. A
photo that fails by chance (out of memory, a server that ends) is tried three times, with pauses.

Exit code: 0 if every line is made, 1 if some could not be made, 2 if the run ended early.
"""


def parse_generate_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m idpatch_core.generate",
        description="Make many group photos on one ComfyUI or several. An interrupted run resumes "
        "when the same command is run again: nothing is made twice, no finished photo is lost.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", type=Path, help="JSON lines file of group photos, one a line")
    parser.add_argument(
        "--out", type=Path, default=Path("photos"), help="folder to write to (default: photos)"
    )
    parser.add_argument(
        "--server",
        action="append",
        type=parse_server,
        help=f"address of a running ComfyUI; repeat it for several (default: {DEFAULT_SERVER})",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="how long to wait for a server to come back while none answers (default: 120)",
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
    options = parser.parse_args(arguments)
    options.server = list(dict.fromkeys(options.server or [DEFAULT_SERVER]))
    if options.comfyui and not options.ray:
        parser.error("--comfyui needs --ray")
    return options


def parse_server(text: str) -> str:
    url = text if "://" in text else f"http://{text}"
    if not url.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(
            f"expected an address such as {DEFAULT_SERVER}; got {text}"
        )
    return url.rstrip("/")


def generate_photos(options: argparse.Namespace) -> int:
    """Make the photos that are not made yet and return the exit code."""
    try:
        template = read_graph(options.workflow)
    except ValueError as error:
        raise ValueError(f"--workflow: {error}") from None
    if not options.photos.is_file():
        raise ValueError(f"photos: no such file: {options.photos}")
    jobs, problems = read_jobs(options.photos, template)
    with open_ledger(options.out) as ledger:
        failures = list(problems)
        try:
            failures += run_jobs(options, jobs, template, ledger)
        finally:
            results = format_results(jobs, ledger, options.out, options.photos.parent)
            # On a full disk, the error that ended the run tells; the next run writes the results.
            with contextlib.suppress(OSError) if sys.exc_info()[0] else contextlib.nullcontext():
                journal.write_whole(options.out / "results.jsonl", results.encode())
        made = sum(1 for job in jobs if ledger.find_record(job))
    for failure in failures:
        print(f"not made: {failure}", file=sys.stderr)
    print(f"{made} of {len(jobs) + len(problems)} photos: {options.out / 'results.jsonl'}")
    return 1 if failures else 0


def run_jobs(
    options: argparse.Namespace, jobs: Sequence[Job], template: Graph, ledger: Ledger
) -> list[str]:
    """Run the jobs that are not done and return the errors of those that failed."""
    from tqdm import tqdm

    remaining = [job for job in jobs if ledger.find_record(job) is None]
    failures: list[str] = []
    made = len(jobs) - len(remaining)
    with tqdm(total=len(jobs), initial=made, desc="Photos", unit="photo") as bar:

        def on_done(job: Job, images: JobImages) -> None:
            ledger.save_images(job, images.pngs, images.seconds)
            bar.update()

        def on_failure(job: Job, error: str) -> None:
            failures.append(f"{job.case.id}: {error}")
            bar.write(f"failed: {failures[-1]}", file=sys.stderr)
            bar.update()

        def on_notice(text: str) -> None:
            bar.write(text, file=sys.stderr)

        def on_event(job: Job, event: Event) -> None:
            if event.kind == "progress":
                bar.set_postfix_str(f"{job.case.id} {event.title} {event.value}/{event.total}")

        base = options.photos.parent
        if options.ray:
            comfyui = options.comfyui or ""
            lanes = open_ray_lanes(
                options.server, options.workers, options.gpus, comfyui, template, base
            )
        else:
            workers = {url: Worker(template, base, url) for url in options.server}
            lanes = contextlib.nullcontext(ThreadLanes(workers, on_event))
        if remaining:
            callbacks = Callbacks(on_done, on_failure, on_notice)
            with lanes as opened:
                Dispatcher(opened, remaining, ledger, callbacks, options.wait).run()
    return failures


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_generate_options(arguments)
    try:
        return generate_photos(options)
    except (ValueError, ComfyError) as error:
        return fail(f"error: {error}", 2)
    except OSError as error:
        return fail(f"error: {journal.describe_os_error(error, options.out)}", 2)
    except KeyboardInterrupt:
        return fail("\nStopped. Run the same command again to resume.", 130)


def fail(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
