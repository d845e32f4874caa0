"""A mart of series that Kedro-Viz draws: the batch that was heard of last, over its age."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import psycopg
from kedro_datasets._typing import PlotlyPreview

from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.errors import LakeError
from bioreactor_lake.plots.figures import draw_note, draw_panels

_POINTS = 300
_BUCKET_HOURS = 1 / 12
_WIDTH = 60


class PlottedMartDataset(MartDataset):
    """A mart with the columns of the timeline, which is shown as a plot and not as rows.

    It is drawn when somebody looks, from what is published; a run knows nothing of it. What `preview` draws is said by
    `metadata.kedro-viz.preview_args`.
    """

    def preview(self, panels: Mapping[str, Sequence[str]]) -> PlotlyPreview:  # type: ignore[override]
        """The newest batch, for Kedro-Viz, or why there is none to draw.

        Args:
            panels: The title of each axis, with the unit, and the tags that are drawn on it.
        """
        tags = [tag for several in panels.values() for tag in several]

        def read(connection: psycopg.Connection[Any]) -> dict[str, Any]:
            if connection.execute("SELECT to_regclass(%s)", [self._mart({}).qualified]).fetchone() == (None,):
                raise self._missing()
            return self._draw(connection, panels, tags)

        try:
            return PlotlyPreview(self.impatient_database.attempt(read, what="Connecting", kept=""))
        except LakeError as error:
            return PlotlyPreview(draw_note("<br>".join(wrap(str(error), _WIDTH))))

    def _draw(
        self, connection: psycopg.Connection[Any], panels: Mapping[str, Sequence[str]], tags: Sequence[str]
    ) -> dict[str, Any]:
        mart = self._mart({}).qualified
        newest = connection.execute(
            f"SELECT batch_id, site, to_char(batch_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM {mart} "
            "ORDER BY ts_5m DESC, batch_id LIMIT 1"
        ).fetchone()
        if newest is None:
            return draw_note(f"{self.qualified_name} has no rows.")
        batch, site, start = newest
        rows = connection.execute(
            f"WITH drawn AS (SELECT * FROM {mart} WHERE batch_id = %s AND tag = ANY(%s) AND avg_value IS NOT NULL), "
            "step AS (SELECT greatest(max(hours_since_start) / %s, %s) AS hours FROM drawn) "
            "SELECT equipment_id, tag, floor(hours_since_start / hours) * hours AS at, avg(avg_value) "
            "FROM drawn, step GROUP BY equipment_id, tag, at ORDER BY equipment_id, tag, at",
            [batch, list(tags), _POINTS, _BUCKET_HOURS],
        ).fetchall()
        several = len({equipment for equipment, *_ in rows}) > 1
        lines: dict[str, dict[str, tuple[list[float], list[float | None]]]] = {}
        for equipment, tag, hours, value in rows:
            x, y = lines.setdefault(tag, {}).setdefault(f"{tag}, {equipment}" if several else tag, ([], []))
            x.append(round(hours, 3))
            y.append(float(f"{value:.5g}"))
        drawn = {title: {name: line for tag in names for name, line in lines.get(tag, {}).items()}
                 for title, names in panels.items()}  # fmt: skip
        place = f"{batch}, {site}" if site else str(batch)
        return draw_panels(f"{place}, started {start} UTC", drawn, "hours since the batch's first reading")
