"""Rows of Python as a query.

By way of JSON: DuckDB imports pandas for a bound parameter, pyarrow imports it for a list of rows, and that takes
longer than many a run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bioreactor_lake.sql import literal


def query_rows(rows: Iterable[Mapping[str, Any]], kinds: Mapping[str, str]) -> str:
    """A query for rows.

    Args:
        rows: Values by column; a column that a row lacks is null in it.
        kinds: DuckDB's types by column, `x[]` for a list.
    """
    shape = {name: [kind.removesuffix("[]")] if kind.endswith("[]") else kind for name, kind in kinds.items()}
    text = json.dumps([{name: row.get(name) for name in kinds} for row in rows], default=datetime.isoformat)
    return f"SELECT r.* FROM (SELECT unnest(from_json({literal(text)}, {literal(json.dumps([shape]))})) AS r)"
