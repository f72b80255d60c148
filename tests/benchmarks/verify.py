"""What Verify Identities costs beside the detector and the encoder that it runs.

Five people on an image of 1024 x 1024, on one core, in CPU time, so that other work on the machine
hardly matters. In every run of the check, and of the whole node with its annotated image and
preview, the calls of the detector and of the encoder (five faces found, five references) are timed
apart; what is left is the check's own. The encoder is the independent recogniser of the tests or,
with --conditioning, an IR-SE50 with random weights.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .machine import load_pack_in_comfyui


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=20, help="how often each is timed")
    parser.add_argument("--conditioning", action="store_true", help="score with IR-SE50")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return for the check and the node the milliseconds of each part, and the own share."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    clock = Clock()
    jobs = prepare(options.conditioning, clock)

    import torch

    torch.set_num_threads(1)
    runs: dict[str, list[list[float]]] = {name: [] for name in jobs}
    with torch.inference_mode():
        for run in range(options.runs + 2):
            for name, job in jobs.items():
                parts = clock.run(job)
                if run >= 2:  # the first ones load what is loaded once
                    runs[name].append(parts)
    rows = {}
    for name, parts in runs.items():
        medians = [1000 * statistics.median(some) for some in zip(*parts, strict=True)]
        rows[name] = dict(zip(("detector", "encoder", "own"), medians, strict=True))
        rows[name]["share"] = statistics.median(rest / (a + b) for a, b, rest in parts)
    return {"settings": {"runs": options.runs, "conditioning": options.conditioning}, "rows": rows}


class Clock:
    """Measures jobs, and apart from the rest the calls of the functions that it wraps."""

    def __init__(self) -> None:
        self.parts = {"detector": 0.0, "encoder": 0.0}

    def wrap(self, part: str, call: Callable) -> Callable:
        def timed(*arguments: Any) -> Any:
            start = time.process_time()
            try:
                return call(*arguments)
            finally:
                self.parts[part] += time.process_time() - start

        return timed

    def run(self, job: Callable[[], Any]) -> list[float]:
        """Return the seconds of the detector, of the encoder and of the rest of a job."""
        self.parts = dict.fromkeys(self.parts, 0.0)
        start = time.process_time()
        job()
        whole = time.process_time() - start
        return [*self.parts.values(), whole - sum(self.parts.values())]


def prepare(conditioning: bool, clock: Clock) -> dict[str, Callable[[], Any]]:
    """Return the check and the node as jobs, their detector and encoder on the clock."""
    pack: Any = load_pack_in_comfyui()
    import folder_paths
    import numpy as np
    import torch
    from photos import compose, read_photos
    from scorers import fetch_recogniser

    core, nodes = pack.idpatch_core, pack.nodes
    photographs = read_photos()
    names = sorted({name.partition("_")[0] for name in photographs})[:5]
    group = compose([photographs[f"{name}_2"] for name in names], 180, 20)
    image = np.full((1024, 1024, 3), 128, np.uint8)
    height, width = group.image.shape[:2]
    image[400 : 400 + height, :width] = group.image
    points = tuple(core.layout.Point(x, y + 400) for x, y in group.points)

    detector = core.face_detector.YuNet()
    scorer = core.verification.scorer.load_scorer(fetch_recogniser())
    if conditioning:
        torch.manual_seed(0)
        network = nodes.model_management.manage(core.arcface.IRSE50())
        model = nodes.faces.FaceModel(network, detector, "random weights", "YuNet")
        scorer, _ = nodes.scorer.choose_scorer(nodes.scorer.CONDITIONING, model)
    crops = [
        core.alignment.align_face(photo, detector.detect(photo)[0].keypoints)
        for photo in (photographs[f"{name}_1"] for name in names)
    ]
    people = [
        core.identity.Identity(name, torch.zeros(512), crop)
        for name, crop in zip(names, crops, strict=True)
    ]
    assert len(detector.detect(image)) == 5
    scorer = scorer._replace(embed=clock.wrap("encoder", scorer.embed))
    detect = clock.wrap("detector", detector.detect)
    batch = torch.from_numpy(image).float()[None] / 255
    black = torch.zeros(1, 3, 1024, 1024)
    hint = core.canvas.Hint(black, black, points, tuple(names))
    loaded = nodes.scorer.LoadedScorer(scorer, SimpleNamespace(detect=detect), "YuNet")
    execute = nodes.verify.IDPatchVerify.execute

    def check() -> Any:
        references = scorer.embed(np.stack(crops))
        return core.verification.verdict.verify_image(
            image, names, references, points, detect, scorer
        )

    def node() -> Any:
        for preview in Path(folder_paths.get_temp_directory()).glob("idpatch_verdict_*"):
            preview.unlink()  # or the next run would find it written
        return execute(batch, people, hint, loaded)

    return {"check": check, "node": node}
