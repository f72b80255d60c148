"""Pick Best and Save Report, which use the findings of Verify Identities."""

import json
import math
from typing import Any

from comfy_api.v0_0_2 import io
from torch import Tensor

from ..idpatch_core.layout import count_of
from . import sockets
from .folders import save_outputs
from .images import read_images, save_temporary
from .schema import Schema


def read_scores(report_json: str) -> list[list[float]]:
    """Return each image's scores, ascending, from a JSON report of Verify Identities.

    Raises ValueError if it is no such report, or no person in it has a placement.
    """
    try:
        images = json.loads(report_json)["images"]
        scores = [[float(score) for score in image["scores"]] for image in images]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise ValueError(
            "report_json: it is not a report of Verify Identities. Connect its output report_json."
        ) from None
    if not any(scores):
        raise ValueError(
            "report_json: no person in it has a placement, so the images cannot be ranked. Place "
            "the people in the Patch Placer."
        )
    return scores


def describe_scores(report_json: str) -> list[str]:
    """Return a sentence on each image's least similar person, by which the images are ranked."""
    return [
        f"Image {number}: {_describe_weakest(image)}"
        for number, image in enumerate(json.loads(report_json)["images"], 1)
    ]


def _describe_weakest(image: dict[str, Any]) -> str:
    try:
        placed = [person for person in image["people"] if person["point"] is not None]
        missing = [str(person["name"]) for person in placed if person["similarity"] is None]
        if missing:
            return f"no face of {', '.join(missing)} was found."
        weakest = min(placed, key=lambda person: person["similarity"])
        return f"the least similar person is {weakest['name']}, {weakest['similarity']:.2f}."
    except (KeyError, TypeError, ValueError):  # a report that was written by hand
        score = min(image["scores"], default=None)
        return "no one has a placement." if score is None else f"the lowest score is {score}."


class IDPatchPickBest(sockets.Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchPickBest",
            display_name="Pick Best",
            category=sockets.CATEGORY,
            search_aliases=["best of", "choose image", "select image", "rank"],
            has_intermediate_output=True,
            description="Keeps the image of a batch whose least similar person scores highest.",
            inputs=[
                io.Image.Input("image", tooltip="The batch that Verify Identities checked."),
                io.String.Input(
                    "report_json",
                    force_input=True,
                    tooltip="The JSON report of Verify Identities on this batch.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The best image."),
                io.Int.Output(
                    display_name="index", tooltip="The image's index in the batch, from 0."
                ),
                io.Float.Output(
                    display_name="score",
                    tooltip="The similarity of its least similar person; -1 if a face is missing.",
                ),
            ],
        )

    @classmethod
    def execute(cls, image: Tensor, report_json: str) -> io.NodeOutput:
        scores = read_scores(report_json)
        if len(scores) != len(image):
            raise ValueError(
                f"report_json: it covers {count_of(len(scores), 'image')}, image holds "
                f"{len(image)}. Connect the batch that Verify Identities checked."
            )
        best = max(range(len(scores)), key=lambda index: scores[index])
        kept = image[best : best + 1]
        preview = save_temporary("best", read_images(kept)[0], ".jpg")
        return io.NodeOutput(
            kept,
            best,
            min(scores[best], default=math.nan),
            ui={
                "images": [preview],
                "animated": (False,),
                "idpatch_best": [{"index": best, "reasons": describe_scores(report_json)}],
            },
        )


class IDPatchSaveReport(sockets.Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return Schema(
            node_id="IDPatchSaveReport",
            display_name="Save Report",
            category=sockets.CATEGORY,
            search_aliases=["save text", "save json"],
            description="Saves the findings of Verify Identities in the output folder.",
            is_output_node=True,
            inputs=[
                io.String.Input(
                    "report", force_input=True, tooltip="The text report of Verify Identities."
                ),
                io.String.Input(
                    "filename_prefix",
                    default="ID-Patch/report",
                    tooltip="The start of the file name in the output folder. It may contain a "
                    "folder.",
                ),
                io.String.Input(
                    "report_json",
                    force_input=True,
                    optional=True,
                    tooltip="The JSON report of Verify Identities, saved as well if connected.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(
        cls, report: str, filename_prefix: str, report_json: str | None = None
    ) -> io.NodeOutput:
        contents = {".txt": f"{report}\n".encode()}
        if report_json is not None:
            contents[".json"] = report_json.encode()
        files = save_outputs("filename_prefix", filename_prefix, contents)
        return io.NodeOutput(ui={"text": (report,), "idpatch_report": files})
