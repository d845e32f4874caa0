"""How the lake draws: colours that everybody can tell apart, and figures as plain data, which Plotly understands."""

from bioreactor_lake.plots.figures import COLOURS, SYMBOLS, draw_note, draw_panels

__all__ = ["COLOURS", "SYMBOLS", "draw_note", "draw_panels"]
