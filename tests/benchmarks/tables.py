"""Tables and sentences of the documents, made from the results; the files are never edited there.

A document marks a place with two comments: `<!-- NAME: written by python3 -m tests.benchmarks -->`
and `<!-- end of NAME -->`, where NAME is a part or a name of `SENTENCES`.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import front

BENCHMARKS = Path(__file__).resolve().parent
ROOT = BENCHMARKS.parents[1]
RESULTS = BENCHMARKS / "results"
DOCUMENTS = (BENCHMARKS / "README.md", ROOT / "README.md")
FRONT = BENCHMARKS / "front.svg"
START = "<!-- {name}: written by python3 -m tests.benchmarks -->"
END = "<!-- end of {name} -->"

Document = dict[str, Any]  # of a result file: command, date, machine, result


def result_path(part: str) -> Path:
    return RESULTS / f"{part}.json"


def write_tables() -> list[Path]:
    """Write the documents that differ from the results, and return them."""
    texts = {path: update_document(path) for path in DOCUMENTS} | {FRONT: draw_front()}
    outdated = [path for path, text in texts.items() if _read(path) != text]
    for path in outdated:
        path.write_text(texts[path], encoding="utf-8")
    return outdated


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def draw_front() -> str:
    """Return the plot of what ending the ControlNet or the guidance early costs."""
    return front.draw_front(json.loads(result_path("early_end").read_text(encoding="utf-8")))


def update_document(path: Path) -> str:
    """Return a document with what the results say between its marks."""
    text = path.read_text(encoding="utf-8")
    for name, render in {**TABLES, **SENTENCES}.items():
        start, end = START.format(name=name), END.format(name=name)
        if start not in text:
            continue
        written = f"{start}\n\n{render_part(name, render)}\n\n{end}"
        pattern = f"{re.escape(start)}.*?{re.escape(end)}"
        text = re.sub(pattern, lambda _, written=written: written, text, flags=re.DOTALL)
    return text


def render_part(name: str, render: Callable[[Document], str]) -> str:
    path = result_path(SOURCES.get(name, name))
    if not path.exists():
        return "Not measured yet."
    return render(json.loads(path.read_text(encoding="utf-8")))


def describe_run(document: Document) -> str:
    """Return a line with the command and where it ran."""
    machine = document["machine"]
    hardware = machine["gpu"] or f"{machine['cores']} cores of {machine['cpu']}"
    versions = f"torch {machine['torch']}, ComfyUI {machine['comfyui']}"
    return f"`{document['command']}`, {document['date']}, {hardware}, {versions}:"


def make_table(columns: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; all columns but the first are numbers."""
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _with_run(document: Document, columns: list[str], rows: list[list[str]]) -> str:
    return f"{describe_run(document)}\n\n{make_table(columns, rows)}"


def _span(values: list[float], digits: int = 2) -> str:
    return f"{values[0]:.{digits}f} to {values[1]:.{digits}f}"


def render_arithmetic(document: Document) -> str:
    result = document["result"]
    steps = result["settings"]["steps"]
    rows = [
        [
            row["run"],
            f"{row['tflop_run'] / steps:.3f}",
            f"{row['ratio']:.4f}",
            f"{row['keys_share']:.2%}",
            f"{row['unet_calls']} of {row['unet_rows'] / row['unet_calls']:.3g} rows",
            str(row["control_calls"]),
        ]
        for row in result["rows"]
    ]
    columns = ["run", f"TFLOP / {steps}", "ratio", "keys and values", "UNet calls", "ControlNet"]
    return _with_run(document, columns, rows)


def render_sampling(document: Document) -> str:
    rows = [
        [
            row["run"],
            f"{row['ratio']:.3f}",
            _span(row["ratio_range"], 3),
            f"{row['memory_ratio']:.3f}",
        ]
        for row in document["result"]["rows"]
    ]
    return _with_run(document, ["run", "time of a step", "of the rounds", "peak memory"], rows)


def render_loading(document: Document) -> str:
    rows = [
        [
            row["file"],
            f"{row['file_mib']:.0f}",
            f"{row['read_s']:.2f}",
            f"{row['load_s']:.2f}",
            f"{row['ratio']:.2f} ({_span(row['ratio_range'])})",
            f"{row['peak_mib']:.0f} ({row['peak_ratio']:.2f} of the file)",
        ]
        for row in document["result"]["rows"]
    ]
    columns = ["file", "MiB", "reading, CPU s", "loading, CPU s", "ratio", "own peak memory, MiB"]
    return _with_run(document, columns, rows)


def render_faces(document: Document) -> str:
    rows = [
        [str(row["photos"])]
        + [f"{row['networks']['ms']:.0f}"]
        + [
            f"{row[name]['ratio']:.3f} ({_span(row[name]['range'])})"
            for name in ("node", "batch", "again")
        ]
        for row in document["result"]["rows"]
    ]
    columns = ["photos", "bare networks, CPU ms", "Face Encoder", "networks, faces as one batch"]
    return _with_run(document, [*columns, "Face Encoder, with another name"], rows)


def render_imports(document: Document) -> str:
    result = document["result"]
    return (
        f"{describe_run(document)} {result['ms']:.0f} ms CPU ({_span(result['range'], 0)}), "
        f"{result['own_modules']} modules of the pack and {result['other_modules']} others."
    )


def render_reruns(document: Document) -> str:
    rows = [
        [row["change"], str(len(row["nodes"])), str(row["steps"]), _list_nodes(row["nodes"])]
        for row in document["result"]["rows"]
    ]
    return _with_run(document, ["change", "nodes run", "steps sampled", "which"], rows)


def _list_nodes(nodes: list[str]) -> str:
    if len(nodes) > 12:
        return "all"
    names = [name.removeprefix("IDPatch") for name in dict.fromkeys(nodes)]
    return ", ".join(names) or "none"


def render_early_end(document: Document) -> str:
    rows = []
    for row in document["result"]["rows"]:
        changes = [row[f"{kind}_change"] for kind in ("association", "similarity")]
        cells = [f"{row[kind]:.3f}" for kind in ("association", "similarity")]
        if row["settings"]:
            cells = [
                f"{cell} ({mean:+.3f}, {low:+.3f} to {high:+.3f})"
                for cell, (mean, low, high) in zip(cells, changes, strict=True)
            ]
        name = row["variant"].replace("=", " ").replace(",", ", ")
        rows.append([name, f"{row['arithmetic']:.2f}", *cells, f"{row['distance']:.1f}"])
    columns = ["run", "arithmetic", "association", "similarity", "distance of the images"]
    return _with_run(document, columns, rows)


def render_verify(document: Document) -> str:
    rows = [
        [
            name,
            *(f"{row[key]:.1f}" for key in ("detector", "encoder", "own")),
            f"{row['share']:.1%}",
        ]
        for name, row in document["result"]["rows"].items()
    ]
    columns = ["", "detector, ms", "encoder, ms", "own, ms", "own / (detector + encoder)"]
    return _with_run(document, columns, rows)


def render_training(document: Document) -> str:
    rows = [
        [row["kind"], f"{row['ratio']:.3f}", _span(row["ratio_range"]), f"{row['memory']:.3f}"]
        for row in document["result"]["rows"]
    ]
    return _with_run(document, ["step", "time", "of the rounds", "peak memory"], rows)


def render_placer(document: Document) -> str:
    rows = [
        [f"{row['frontend']}, {row['renderer']}"]
        + [f"{row[key]:.1f}" for key in ("median", "p95", "empty_median", "empty_p95")]
        + [f"{row[key]:.0%}" for key in ("script", "task", "empty_task")]
        + [str(row["idle"])]
        for row in document["result"]["rows"]
    ]
    columns = ["frontend, renderer", "median, ms", "95 %", "empty: median", "95 %"]
    columns += ["script, of 16.7 ms", "all work", "empty: all work", "idle frames"]
    return _with_run(document, columns, rows)


def render_cost(document: Document) -> str:
    """Return the README's sentence on what ID-Patch costs."""
    result = document["result"]
    ratio = {row["run"]: row["ratio"] for row in result["rows"]}
    fast, three = ratio["3 people, preset fast"], ratio["3 people"]
    return (
        f"At SDXL's size ({result['settings']['size']} pixels, {result['settings']['steps']} steps)"
        f" a run with one person takes {ratio['1 person'] - 1:.1%} more arithmetic than the same "
        f"ControlNet without ID-Patch, with three people {three - 1:.1%}, with ten "
        f"{ratio['10 people'] - 1:.1%}. With `reuse_tokens` of the ID-Patch Sampler, which keeps "
        f"the image as it is, three people take {_percent_change(ratio['3 people, reuse_tokens'])}"
        f" than without ID-Patch. Its preset *fast* takes {fast / three:.0%} of the arithmetic, "
        "and changes the image."
    )


def _percent_change(ratio: float) -> str:
    return f"{abs(ratio - 1):.1%} {'less' if ratio < 1 else 'more'}"


def render_soak(document: Document) -> str:
    rows = []
    for run in document["runs"]:
        result = run["result"]
        slope, low, high = result["slope_kb_a_prompt"]
        rows.append(
            [
                f"`{run['command']}`",
                str(len(result["problems"])),
                f"{result['made_again']}",
                f"{result['equal_in_a_fresh_server']} of {result['results']}",
                f"{slope:.2f} ({low:.2f} to {high:.2f})",
            ]
        )
    columns = ["run", "problems", "made again", "equal in a fresh server", "kB a prompt"]
    machine = document["runs"][0]["machine"]
    where = f"{machine['cores']} cores of {machine['cpu']}, ComfyUI {machine['comfyui']}"
    return f"{document['runs'][0]['date']}, {where}:\n\n{make_table(columns, rows)}"


TABLES: dict[str, Callable[[Document], str]] = {
    "arithmetic": render_arithmetic,
    "sampling": render_sampling,
    "loading": render_loading,
    "faces": render_faces,
    "imports": render_imports,
    "reruns": render_reruns,
    "early_end": render_early_end,
    "verify": render_verify,
    "training": render_training,
    "placer": render_placer,
}
SENTENCES = {"cost": render_cost, "soak": render_soak}
SOURCES = {"cost": "arithmetic"}
