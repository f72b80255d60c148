"""Pick Best and Save Report: what to do with the findings of Verify Identities."""

import json
import math
from pathlib import Path

import folder_paths
from comfy_api.v0_0_2 import io
from torch import Tensor

from . import sockets


def read_scores(report_json: str) -> list[list[float]]:
    """Return each picture's scores, from the weakest person up, of a report of Verify Identities.

    Raises ValueError if this is no such report or nobody in it has a place.
    """
    try:
        pictures = json.loads(report_json)["pictures"]
        scores = [[float(score) for score in picture["scores"]] for picture in pictures]
    except (ValueError, TypeError, KeyError):
        raise ValueError(
            "report_json: it is not a report of Verify Identities. Connect its second output."
        ) from None
    if not any(scores):
        raise ValueError(
            "report_json: nobody in it has a place, so no picture is better than another. Place "
            "the people in the Patch Placer."
        )
    return scores


class IDPatchPickBest(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchPickBest",
            display_name="Pick Best",
            category=sockets.CATEGORY,
            description="Keeps the picture of a batch whose weakest person is best.",
            inputs=[
                io.Image.Input("image", tooltip="The batch that Verify Identities judged."),
                io.String.Input(
                    "report_json",
                    force_input=True,
                    tooltip="The JSON report of Verify Identities on this batch.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The best picture."),
                io.Int.Output(display_name="index", tooltip="Its place in the batch; 0 is first."),
                io.Float.Output(
                    display_name="score",
                    tooltip="The similarity of its weakest person, -1 if someone's place is empty.",
                ),
            ],
        )

    @classmethod
    def execute(cls, image: Tensor, report_json: str) -> io.NodeOutput:
        scores = read_scores(report_json)
        if len(scores) != len(image):
            raise ValueError(
                f"report_json: it judges {len(scores)} pictures, image holds {len(image)}. "
                "Connect the batch that Verify Identities judged."
            )
        best = max(range(len(scores)), key=lambda index: scores[index])
        return io.NodeOutput(image[best : best + 1], best, min(scores[best], default=math.nan))


class IDPatchSaveReport(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IDPatchSaveReport",
            display_name="Save Report",
            category=sockets.CATEGORY,
            description="Saves the findings of Verify Identities beside the pictures.",
            is_output_node=True,
            inputs=[
                io.String.Input(
                    "report", force_input=True, tooltip="The report of Verify Identities as text."
                ),
                io.String.Input(
                    "filename_prefix",
                    default="ID-Patch/report",
                    tooltip="The start of the file's name in the output folder; it may name a "
                    "folder.",
                ),
                io.String.Input(
                    "report_json",
                    force_input=True,
                    optional=True,
                    tooltip="The report as JSON, saved as well if connected.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(
        cls, report: str, filename_prefix: str, report_json: str | None = None
    ) -> io.NodeOutput:
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory()
        )
        contents = {".txt": report + "\n"}
        if report_json is not None:
            contents[".json"] = report_json
        files = []
        for suffix, content in contents.items():
            file = f"{name}_{counter:05}_{suffix}"
            Path(folder, file).write_text(content, "utf-8")
            files.append({"filename": file, "subfolder": subfolder, "type": "output"})
        return io.NodeOutput(ui={"text": (report,), "idpatch_report": files})
