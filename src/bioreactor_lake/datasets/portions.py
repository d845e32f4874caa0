"""Many batches in portions, so that a table is never sorted as a whole in memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from bioreactor_lake.datasets import compaction
from bioreactor_lake.datasets.json_rows import query_rows

# Enough rows for every core to have its share; a sort of their buckets takes some 200 MB.
_READINGS = 4_000_000


def portions_of(backend: Any, batches: Sequence[str]) -> list[list[str] | None]:
    """All batches in their order, in portions of some million readings whose files hold no other batch.

    Args:
        backend: The warehouse.
        batches: All batches that the raw files hold.

    Returns:
        The portions; one that is None stands for everything at once, where it is little, or its files hold batches of
        several portions, or are of several schemas.
    """
    if compaction.is_used(backend):
        return [None]
    given = query_rows(({"batch_id": batch} for batch in batches), {"batch_id": "VARCHAR"})
    rows = backend.raw_sql(
        f"WITH given AS ({given}), holding AS (SELECT unnest(batch_ids) AS batch_id, path, schema_id, "
        "rows_accepted / len(batch_ids) AS readings FROM raw.files WHERE status = 'accepted') "
        "SELECT CAST(floor(coalesce(sum(sum(readings)) OVER (ORDER BY batch_id), 0) / "
        f"{_READINGS}) AS BIGINT) AS portion, batch_id, list(path), list(DISTINCT schema_id) "
        "FROM holding FULL JOIN given USING (batch_id) GROUP BY batch_id ORDER BY batch_id"
    ).fetchall()
    schemas = {schema_id for *_, schema_ids in rows for schema_id in schema_ids}
    portion_of: dict[str, int] = {}
    apart = all(portion_of.setdefault(path, portion) == portion for portion, _, paths, _ in rows for path in paths)
    if not apart or len(schemas) != 1 or None in schemas:
        return [None]
    portions = [[batch for _, batch, *_ in portion] for _, portion in groupby(rows, key=lambda row: row[0])]
    return [*portions] if len(portions) > 1 else [None]
