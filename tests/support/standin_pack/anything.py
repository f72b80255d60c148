"""A node whose output fits every socket, and carries what no socket expects."""

from typing import Any

import torch


def make_values() -> dict[str, Any]:
    nan = float("nan")
    return {
        "nothing": None,
        "true": True,
        "text": "zzz",
        "number": 7,
        "negative number": -3,
        "NaN": nan,
        "infinity": float("inf"),
        "huge number": 10**40,
        "empty list": [],
        "nested list": [[1, 2], [3]],
        "object": {"samples": 3},
        "bytes": b"abc",
        "class": dict,
        "NaN image": torch.full((1, 64, 64, 3), nan),
        "huge image": torch.full((1, 64, 64, 3), 3e38),
        "empty image": torch.zeros(0, 64, 64, 3),
        "small image": torch.zeros(1, 1, 1, 3),
        "two channels": torch.zeros(1, 64, 64, 2),
        "one axis": torch.zeros(5),
        "whole numbers": torch.zeros(1, 64, 64, 3, dtype=torch.int64),
        "NaN latent": {"samples": torch.full((1, 4, 12, 24), nan)},
        "empty latent": {"samples": torch.zeros(0, 4, 12, 24)},
        "video latent": {"samples": torch.zeros(1, 16, 5, 8, 8)},
        "flat latent": {"samples": torch.zeros(4)},
        "empty conditioning": [],
        "conditioning of nothing": [[torch.zeros(0, 0, 0), {}]],
        "conditioning of another model": [[torch.zeros(1, 77, 768), {}]],
        "conditioning that is NaN": [
            [torch.full((1, 77, 2048), nan), {"pooled_output": torch.zeros(1, 1280)}]
        ],
        "frames of nothing": [{"people": None, "canvas_width": nan, "canvas_height": 0}],
    }


class Anything:
    """What is wired in a wrong way reaches a node as the value of its name."""

    CATEGORY = "tests"
    RETURN_TYPES = ("*",)
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (list(make_values()),)}}

    def make(self, value):
        return (make_values()[value],)
