"""Draws similarity and association against arithmetic, as SVG, from the result of `early_end`."""

from typing import Any
from xml.sax.saxutils import escape

WIDTH, PANEL, TOP, LEFT, RIGHT, GAP = 720, 230, 34, 60, 20, 60
LEGEND_LINE, LEGEND_COLUMNS = 18, 2
KINDS = ("similarity", "association")
FIRST, LAST = 0.5, 1.02  # of the arithmetic
INK, LINE, MARK = "#444", "#ccc", "#2563eb"
FULL = "full"

Row = dict[str, Any]


def draw_front(document: dict[str, Any]) -> str:
    """Return a plot with one panel for each kind, below each other."""
    rows = document["result"]["rows"]
    legend = TOP + len(KINDS) * (PANEL + GAP) - 8
    height = legend + LEGEND_LINE * -(-len(rows) // LEGEND_COLUMNS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="11" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for number, kind in enumerate(KINDS):
        parts += draw_panel(rows, kind, TOP + number * (PANEL + GAP))
    for number, row in enumerate(rows):
        line, column = divmod(number, LEGEND_COLUMNS)
        x, y = LEFT + column * (WIDTH - LEFT) // LEGEND_COLUMNS, legend + line * LEGEND_LINE
        name = escape(row["variant"].replace("=", " ").replace(",", ", "))
        parts.append(f'<text x="{x}" y="{y}">{number + 1} {name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def draw_panel(rows: list[Row], kind: str, top: int) -> list[str]:
    """Return the elements of a panel whose upper edge is at `top`."""
    (full,) = (row[kind] for row in rows if row["variant"] == FULL)
    spans = [
        (row[kind], full + row[f"{kind}_change"][1], full + row[f"{kind}_change"][2])
        for row in rows
    ]
    low, high = min(map(min, spans)) - 0.01, max(map(max, spans)) + 0.01

    def x_at(arithmetic: float) -> float:
        return round(LEFT + (arithmetic - FIRST) / (LAST - FIRST) * (WIDTH - LEFT - RIGHT), 1)

    def y_at(value: float) -> float:
        return round(top + PANEL * (high - value) / (high - low), 1)

    bottom = top + PANEL
    parts = [f'<text x="{LEFT}" y="{top - 10}" font-weight="bold">{kind}</text>']
    for tenth in range(5, 11):
        x = x_at(tenth / 10)
        parts.append(f'<path d="M{x} {top}V{bottom}" stroke="{LINE}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 14}" text-anchor="middle">{tenth / 10:g}</text>')
    for hundredth in range(round(low * 100), round(high * 100) + 1):
        value = hundredth / 100
        if hundredth % 2 or not low <= value <= high:
            continue
        parts.append(f'<path d="M{LEFT} {y_at(value)}H{WIDTH - RIGHT}" stroke="{LINE}"/>')
        parts.append(
            f'<text x="{LEFT - 6}" y="{y_at(value) + 4}" text-anchor="end">{value:g}</text>'
        )
    parts.append(
        f'<path d="M{LEFT} {y_at(full)}H{WIDTH - RIGHT}" stroke="{INK}" stroke-dasharray="4"/>'
    )
    for row, (value, lowest, highest) in zip(rows, spans, strict=True):
        x = x_at(row["arithmetic"])
        parts.append(f'<path d="M{x} {y_at(lowest)}V{y_at(highest)}" stroke="{MARK}"/>')
        parts.append(f'<circle cx="{x}" cy="{y_at(value)}" r="4" fill="{MARK}"/>')
    for number, (row, (value, _, _)) in enumerate(zip(rows, spans, strict=True), 1):
        side, shift = ("start", 6) if number % 2 else ("end", -6)
        x, y = x_at(row["arithmetic"]) + shift, y_at(value) + 4
        parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{side}">{number}</text>')
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{bottom + 28}" text-anchor="end">arithmetic, of the full '
        "run's</text>"
    )
    return parts
