"""What Kedro-Viz shows of a table: a few rows, or the reason why there are none, and what its columns are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kedro_datasets._typing import TablePreview


@dataclass(frozen=True)
class ColumnText:
    """What a column is.

    Args:
        name: Its name.
        kind: Its type as the database spells it.
        description: What it means; empty where nobody said.
    """

    name: str
    kind: str
    description: str


class Described:
    """A dataset that is described in the catalog: what one row is, and what columns mean."""

    _description: str
    _columns: Mapping[str, str]

    @property
    def description(self) -> str:
        """What one row is."""
        return self._description

    @property
    def column_descriptions(self) -> Mapping[str, str]:
        """Descriptions by column name, of more columns than it has."""
        return self._columns


def show_rows(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> TablePreview:
    """Rows as short texts.

    Args:
        names: The columns.
        rows: One value per column each.
    """
    cells = [[_spell(value) for value in row] for row in rows]
    return TablePreview({"index": list(range(len(cells))), "columns": list(names), "data": cells})


def show_reason(error: BaseException) -> TablePreview:
    """The message of an error in the place of rows: Kedro-Viz itself would show nothing."""
    return TablePreview({"index": [0], "columns": ["no rows to show"], "data": [[" ".join(str(error).split())]]})


def _spell(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds" if value.microsecond else "seconds")
    if isinstance(value, list):
        return ", ".join(str(_spell(item)) for item in value)
    return str(value)
