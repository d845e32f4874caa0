"""A last look at the raw files that a save has read, before it commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.logic import leaves
from bioreactor_lake.lake.narrowing import SOURCE_FILE
from bioreactor_lake.raw_store import RawStore
from bioreactor_lake.sql import literal


def confirm_raw_files(backend: Any, store: RawStore, data: ir.Table, batches: Sequence[str] | None) -> None:
    """Compare the files that an expression reads with what they were when they were inspected.

    Args:
        backend: The warehouse, in the transaction that wrote.
        store: The place of the raw files.
        data: The expression; nothing is looked at unless it reads raw files.
        batches: The batches that were read; None for all.

    Raises:
        LakeError: A file is another one now; the transaction has to be rolled back.
    """
    if not any(SOURCE_FILE in leaf.schema for leaf in leaves(data)):
        return
    among = "" if batches is None else f"AND list_has_any(batch_ids, [{', '.join(map(literal, batches))}])"
    keys = dict(
        backend.raw_sql(
            "SELECT path, k.key FROM raw.files AS f JOIN lake_state.file_keys AS k USING (path) "
            f"WHERE f.status = 'accepted' {among}"
        ).fetchall()
    )
    found = store.current_keys(list(keys))
    if changed := [path for path, key in keys.items() if found.get(path) != key]:
        more = f" and so did {len(changed) - 1:,} more" if len(changed) > 1 else ""
        raise LakeError(
            f"The raw file {changed[0]} changed since it was inspected{more}.",
            kept="The table is as it was.",
            next_step="Take it in again: kedro run --pipeline ingestion, then run the other layers.",
        )
