"""The batches that a command names: each has to be in an accepted raw file."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from bioreactor_lake.errors import UsageError

_SUGGESTED = 3


def confirm_batches(manifest: Any, named: Sequence[str]) -> None:
    """Make sure that the accepted raw files hold the batches that a command names.

    Args:
        manifest: The dataset of `raw.files`.
        named: The batch ids.

    Raises:
        UsageError: They do not hold one; the message names those that are spelled nearly so.
    """
    known: list[str] = []
    if manifest.exists():
        rows = manifest.connection.raw_sql(
            "SELECT DISTINCT unnest(batch_ids) FROM raw.files WHERE status = 'accepted' ORDER BY 1"
        ).fetchall()
        known = [batch for (batch,) in rows]
    missing = sorted(set(named).difference(known))
    if not missing:
        return
    near = [batch for name in missing for batch in _similar(name, known)]
    raise UsageError(
        f"No accepted raw file holds {' or '.join(map(repr, missing))}.",
        kept="No batch was written.",
        next_step=f"Did you mean {' or '.join(dict.fromkeys(map(repr, near)))}?"
        if near
        else "The batches of a file are in raw.files; files come in with: kedro run --pipeline ingestion",
    )


def _similar(name: str, known: Sequence[str]) -> list[str]:
    # A spreadsheet makes 42 of 00042.
    unpadded = [batch for batch in known if batch.lstrip("0").lower() == name.lstrip("0").lower()]
    return [*unpadded, *get_close_matches(name, known, n=_SUGGESTED)][:_SUGGESTED]
