"""Figures as plain data, made without Plotly: `plotly.graph_objects.Figure(figure)` shows one, and Kedro-Viz does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
"""Okabe and Ito's colours, which can be told apart with any kind of colour vision; brown for yellow, which fades."""

SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "triangle-down", "star")
"""One for each colour, so that no two lines differ by colour alone."""

Points = tuple[Sequence[float], Sequence[float | None]]
"""Where a line is, and its values there; it is interrupted where one is None."""

_FEW = 60
_GAPS = 0.36
_GRID = "rgba(128, 128, 128, 0.25)"
# Legible on white and on black, since Kedro-Viz has both.
_TEXT = "#808080"


def draw_panels(
    title: str, panels: Mapping[str, Mapping[str, Points]], x_title: str, steps: Collection[str] = ()
) -> dict[str, Any]:
    """Lines in panels one above the other, over one axis.

    Args:
        title: What is drawn: the batch, and when it began, with the zone.
        panels: The title of each, which says what its vertical axis is and the unit, and its lines by name. Lines of
            few points show them.
        x_title: The title of the horizontal axis, with its unit.
        steps: The names of lines that keep a value until the next one.
    """
    gap = _GAPS / max(len(panels), 1)
    height = (1 - gap * (len(panels) - 1)) / max(len(panels), 1)
    axis = {"showgrid": True, "gridcolor": _GRID, "zeroline": False, "automargin": True}
    layout: dict[str, Any] = {
        "title": {"text": title},
        "xaxis": {**axis, "title": {"text": x_title}, "anchor": f"y{len(panels)}" if len(panels) > 1 else "y"},
        "hovermode": "x unified",
        "height": 160 * len(panels) + 140,
    }
    data: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for number, (y_title, lines) in enumerate(panels.items()):
        name = "y" if number == 0 else f"y{number + 1}"
        top = 1 - number * (height + gap)
        domain = [max(top - height, 0), top]
        layout[name.replace("y", "yaxis")] = {**axis, "domain": domain, "nticks": 4, "tickfont": {"size": 10}}
        place = {"x": 0, "y": top, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
        notes.append({**place, "text": y_title, "showarrow": False, "font": {"size": 11, "color": _TEXT}})
        for line, (x, y) in lines.items():
            style = len(data) % len(COLOURS)
            data.append(
                {
                    "type": "scatter",
                    "name": line,
                    "x": list(x),
                    "y": list(y),
                    "xaxis": "x",
                    "yaxis": name,
                    "mode": "lines+markers" if len(x) <= _FEW else "lines",
                    "line": {"color": COLOURS[style], "width": 1.5, "shape": "hv" if line in steps else "linear"},
                    "marker": {"color": COLOURS[style], "symbol": SYMBOLS[style], "size": 6},
                }
            )
    return {"data": data, "layout": {**layout, "annotations": notes}}


def draw_note(text: str) -> dict[str, Any]:
    """An empty figure that says why it is empty."""
    note: dict[str, Any] = {
        "text": text,
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": 1,
        "showarrow": False,
        "align": "left",
    }
    note["font"] = {"size": 12, "color": _TEXT}
    hidden = {"visible": False}
    return {"data": [], "layout": {"annotations": [note], "xaxis": hidden, "yaxis": hidden}}
