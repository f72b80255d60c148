"""Files of group photos to make, as tests of `idpatch_core.generate` write them."""

import json
from pathlib import Path
from typing import Any

from idpatch_core.comfyui.graph import Graph
from idpatch_core.generate.jobs import Job, read_jobs

TEMPLATE = {"1": {"class_type": "KSampler", "inputs": {"seed": 1}}}


def row(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "people": [{"name": "Ada", "references": "ada.jpg"}], **more}


def read(
    folder: Path, *rows: dict[str, Any] | str, template: Graph = TEMPLATE
) -> tuple[list[Job], list[str]]:
    """Write the lines of a file and read it as jobs."""
    path = folder / "photos.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return read_jobs(path, template)
