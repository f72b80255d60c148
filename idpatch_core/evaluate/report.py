"""Renders the evaluation as one HTML file with embedded plots and images."""

import base64
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..verification.annotate import GREEN, RED, annotate_record
from .report_data import ReportData, SystemData
from .scoring import UnreadableFile, read_image_file
from .table import MORE_COLUMNS, PAPER_COLUMNS, Row, format_cell, select_measured

GALLERY_WIDTH = 560  # pixels of a image in the gallery
LETTER_SIZE = 30  # pixels at twice that width
SYSTEM_COLOURS = ["#2563a8", "#c2571a", "#2f855a", "#7b3fa0", "#9a7b1e", "#4a5565"]


def render_report(
    source: str,
    records: Iterable[dict[str, Any]],
    rows: Sequence[Row],
    settings: dict[str, Any],
    seed: int,
    notices: Sequence[str] = (),
    differences: str = "",
) -> str:
    """Return the report as HTML; its size does not grow with the number of records.

    `differences` is the text of the comparison with a baseline.

    Needs jinja2, a dependency of torch. Without matplotlib the report has no plots, and a notice
    says so.
    """
    import jinja2

    notices, data = list(notices), ReportData(records)
    try:
        plots = _make_plots(data, rows)
    except ImportError:
        plots = None
        notices.append("No plots: matplotlib is not installed (pip install matplotlib).")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = Path(__file__).with_name("report.html").read_text("utf-8")
    return environment.from_string(template).render(
        source=source,
        cases=data.cases,
        rows=rows,
        settings=settings,
        seed=seed,
        notices=notices,
        paper=select_measured(rows, PAPER_COLUMNS),
        more=select_measured(rows, MORE_COLUMNS),
        format_cell=format_cell,
        plots=plots,
        gallery=_make_gallery(data.weakest),
        problems=data.problems,
        failed=data.failed,
        notes=data.notes,
        differences=differences,
    )


def _make_gallery(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    items = []
    for record in records:
        try:
            image = Image.fromarray(read_image_file(Path(record["result"])))
        except UnreadableFile:
            continue  # it was deleted after it was scored; the scores stay valid
        people = record["verdict"]["people"]
        scale = 2 * GALLERY_WIDTH / image.width  # room for the labels on small images
        annotated = np.array(image.resize((2 * GALLERY_WIDTH, round(image.height * scale))))
        annotate_record(annotated, record["verdict"], scale, LETTER_SIZE)
        items.append(
            {
                "id": record["id"],
                "system": record["system"],
                "image": _to_data_url(annotated, GALLERY_WIDTH),
                "correct": sum(person["correct"] for person in people),
                "placed": sum(record["placed"]),
                "swaps": "; ".join(" and ".join(g) for g in record["verdict"]["swaps"]),
                "people": [
                    {
                        "name": person["name"],
                        "verdict": person["verdict"],
                        "correct": person["correct"],
                        "wrong": person["point"] is not None and not person["correct"],
                        "score": ""
                        if person["similarity"] is None
                        else f"{person['similarity']:.2f}",
                        "image": _thumbnail(reference),
                    }
                    for person, reference in zip(people, record["references"], strict=True)
                ],
            }
        )
    return items


def _thumbnail(path: str) -> str | None:
    try:
        return _to_data_url(read_image_file(Path(path)), 120)
    except UnreadableFile:
        return None


def _to_data_url(pixels: np.ndarray, width: int) -> str:
    image = Image.fromarray(pixels)
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def _make_plots(data: ReportData, rows: Sequence[Row]) -> dict[str, list[str]]:
    own = {s: data.systems[s] for s in dict.fromkeys(r.system for r in rows) if s in data.systems}
    return {
        "accuracy": [
            _plot_by_people(rows, list(own), "association_accuracy", "ID-Pos accuracy"),
            _plot_by_people(rows, list(own), "face_similarity", "Face similarity"),
            _plot_by_people(rows, list(own), "leakage_rate", "Leakage rate"),
        ],
        "matrices": [plot for s, some in own.items() for plot in _plot_matrices(s, some)],
        "failures": [
            plot
            for s, some in own.items()
            for plot in (_plot_points(s, some), _plot_ranks(s, some))
        ],
    }


def _to_hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _make_figure(width: float, height: float) -> tuple[Any, Any]:
    # The object interface needs no global state and no window system.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _to_svg(figure: Any) -> str:
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "id-patch"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _plot_by_people(rows: Sequence[Row], systems: Sequence[str], metric: str, title: str) -> str:
    figure, axes = _make_figure(3.8, 2.8)
    numbers = sorted({row.people for row in rows if row.people and metric in row.cells})
    for index, system in enumerate(systems):
        some = [r for r in rows if r.system == system and r.people and metric in r.cells]
        if not some:
            continue
        cells = [row.cells[metric] for row in some]
        errors = [
            [0 if math.isnan(c.low) else max(c.value - c.low, 0) for c in cells],
            [0 if math.isnan(c.high) else max(c.high - c.value, 0) for c in cells],
        ]
        shift = (index - (len(systems) - 1) / 2) * 0.08
        x = [(row.people or 0) + shift for row in some]
        colour = SYSTEM_COLOURS[index % len(SYSTEM_COLOURS)]
        values = [c.value for c in cells]
        axes.errorbar(x, values, errors, fmt="o-", color=colour, capsize=3, label=system)
    if metric == "association_accuracy" and numbers:
        axes.plot(numbers, [1 / n for n in numbers], "--", color="#9aa3af", label="chance")
    axes.set(title=title, xlabel="People", ylim=(-0.03, 1.05))
    axes.set_xticks(numbers)
    axes.grid(axis="y", color="#e3e6eb")
    if metric == "association_accuracy":  # one legend for all three plots
        figure.legend(frameon=False, loc="outside lower center", ncols=3, fontsize=8)
    return _to_svg(figure)


def _plot_matrices(system: str, data: SystemData) -> list[str]:
    plots = []
    for people, matrix in sorted((n, m.mean) for n, m in data.matrices.items() if n > 1):
        if np.isnan(matrix).all():
            continue
        figure, axes = _make_figure(1.2 + 0.42 * people, 1.2 + 0.42 * people)
        axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
        if people <= 6:
            for (i, k), value in np.ndenumerate(matrix):
                if not np.isnan(value):
                    colour = "white" if value > 0.55 else "#1d2430"
                    text = f"{value:.2f}".replace("0.", ".", 1)
                    axes.text(k, i, text, ha="center", va="center", color=colour, fontsize=8)
        ticks = range(people)
        axes.set_xticks(ticks, [str(i + 1) for i in ticks])
        axes.set_yticks(ticks, [str(i + 1) for i in ticks])
        axes.set_title(f"{system}, {people} people", fontsize=9)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        plots.append(_to_svg(figure))
    return plots


def _plot_points(system: str, data: SystemData) -> str:
    styles = {
        "correct": (_to_hex(GREEN), "o", 14, 0.35),
        "wrong": (_to_hex(RED), "x", 36, 0.9),
        "no face": ("#e08a00", "s", 26, 0.9),
    }
    figure, axes = _make_figure(4.4, 4.0)
    for kind, (colour, marker, size, alpha) in styles.items():
        sample = data.points[kind]
        if sample.count:
            x, y = zip(*sample.points, strict=True)
            label = f"{kind} ({sample.count})"
            axes.scatter(
                x, y, size, colour, marker=marker, alpha=alpha, label=label, linewidths=1.5
            )
    axes.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[], title=f"{system}: placements")
    axes.spines[:].set_visible(True)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, frameon=False)
    return _to_svg(figure)


def _plot_ranks(system: str, data: SystemData) -> str:
    """Accuracy by rank from the left, for each number of people."""
    figure, axes = _make_figure(4.6, 3.4)
    for index, people in enumerate(sorted(data.correct)):
        if data.images[people]:
            x = (np.arange(people) + 0.5) / people
            label = f"{people} people" if people > 1 else "1 person"
            colour = SYSTEM_COLOURS[index % len(SYSTEM_COLOURS)]
            shares = data.correct[people] / data.images[people]
            axes.plot(x, shares, "o-", color=colour, label=label, alpha=0.85)
    axes.set(title=f"{system}: from left to right", ylabel="ID-Pos accuracy")
    axes.set(xlim=(0, 1), ylim=(-0.03, 1.05), xticks=[0, 1])
    axes.set_xticklabels(["left", "right"])
    axes.grid(axis="y", color="#e3e6eb")
    axes.legend(frameon=False, fontsize=8, loc="lower left", ncols=2)
    return _to_svg(figure)
