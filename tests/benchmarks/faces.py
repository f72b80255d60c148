"""Encoding faces beside the bare networks: the Face Encoder's CPU time, on one thread.

The networks run as often as they must: the detector once for each photo, and IR-SE50 (random
weights of the released shapes) once for each face, or once for all faces as one batch.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from .machine import load_pack_in_comfyui

PHOTO = "obama_1"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--photos", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--rounds", type=int, default=7)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return for each number of photos the CPU seconds of the node and of the networks."""
    pack = load_pack_in_comfyui()
    import numpy as np
    import torch
    from photos import read_photos

    torch.set_num_threads(1)
    torch.manual_seed(0)
    core, nodes = pack.idpatch_core, pack.nodes
    network = core.arcface.IRSE50(operations=nodes.model_management.operations)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.02)
    detector = core.face_detector.YuNet()
    patcher = nodes.model_management.manage(network)
    model = nodes.faces.FaceModel(patcher, detector, "random weights", "YuNet")
    photo = read_photos()[PHOTO]
    crop = core.alignment.align_face(photo, detector.detect(photo)[0].keypoints)
    rows = []
    for count in options.photos:
        # Photos differ a little everywhere, so that no face is known already.
        noise = torch.randint(0, 3, (count, *photo.shape))
        images = (torch.from_numpy(photo).float() + noise).clamp(0, 255) / 255
        crops = torch.from_numpy(np.stack([crop] * count))

        def encode(images: Any = images) -> None:
            nodes.embedding_cache._embeddings.clear()
            nodes.faces.IDPatchFaceEncoder.execute(model, images)

        def call_networks(crops: Any = crops, count: int = count) -> None:
            for _ in range(count):
                detector.detect(photo)
            for one in crops:
                core.arcface.embed(network, one[None])

        def call_in_a_batch(crops: Any = crops, count: int = count) -> None:
            for _ in range(count):
                detector.detect(photo)
            core.arcface.embed(network, crops)

        def encode_again(images: Any = images) -> None:
            nodes.faces.IDPatchFaceEncoder.execute(model, images, "Anna")

        jobs = {
            "networks": call_networks,
            "batch": call_in_a_batch,
            "node": encode,
            "again": encode_again,
        }
        seconds = time_jobs(jobs, options.rounds)
        row: dict[str, Any] = {"photos": count}
        for name, own in seconds.items():
            ratios = [b / a for a, b in zip(seconds["networks"], own, strict=True)]
            row[name] = {
                "ms": 1000 * statistics.median(own),
                "ratio": statistics.median(ratios),
                "range": [min(ratios), max(ratios)],
            }
        rows.append(row)
    return {"settings": {"rounds": options.rounds}, "rows": rows}


def time_jobs(jobs: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each job in each round, in turns."""
    import torch

    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    with torch.inference_mode():
        for turn in range(rounds + 1):
            for name, job in jobs.items():
                start = time.process_time()
                job()
                if turn:
                    seconds[name].append(time.process_time() - start)
    return seconds
