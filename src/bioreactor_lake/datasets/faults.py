"""What an error of DuckDB says about the raw file that was being read, and when it says nothing about it."""

from __future__ import annotations

from typing import Any

import duckdb

from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.runs import retry_rule
from bioreactor_lake.raw_store import httpfs

CHANGED = "changed while it was read: it is looked at again in the next run"


def ask(backend: Any, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Names and rows of a query of raw files, asked again where the way to them failed and may be free in a moment.

    Raises:
        duckdb.Error: As DuckDB says.
    """

    def once() -> tuple[list[str], list[tuple[Any, ...]]]:
        cursor = backend.raw_sql(query)
        return [column[0] for column in cursor.description], cursor.fetchall()

    return retry_rule().carry_out(once, what="Reading raw files", can_pass=httpfs.can_pass)


def facts_of(error: duckdb.Error, otherwise: str) -> dict[str, Any]:
    """The manifest's columns for a file that could not be read.

    Args:
        error: What DuckDB said.
        otherwise: The reason to give where it is the file that is at fault.

    Raises:
        LakeError: As `raise_unless_of_a_file`.
    """
    raise_unless_of_a_file(error)
    status = httpfs.status_of(error)
    if status in (404, 412) or "ETag on reading file" in str(error):
        return {"reason": CHANGED}
    if status == 403:
        # Without a hash, so that it is looked at again.
        return {"reason": "the object store refuses to give it: grant s3:GetObject on it", "content_hash": None}
    return {"reason": otherwise}


def raise_unless_of_a_file(error: duckdb.Error) -> None:
    """Raise what is no file's fault.

    Raises:
        LakeError: It is the machine's or the network's, so that no file may be quarantined for it.
    """
    if isinstance(error, duckdb.OutOfMemoryException | duckdb.InterruptException) or "No space left" in str(error):
        raise LakeError(
            f"Inspecting the raw files failed: {error}",
            kept="Nothing was changed.",
            next_step="Raise warehouse.memory_limit in conf/*/globals.yml or make room on the disk, then run again.",
        ) from error
    if httpfs.is_about_the_network(error):
        raise LakeError(
            f"The object store stopped answering while raw files were read: {first_line(error)}",
            kept="Nothing was changed.",
            next_step="Check the network and the store, then run again.",
        ) from error


def first_line(error: Exception) -> str:
    """The first line of an error of DuckDB, without its kind."""
    return str(error).splitlines()[0].split(": ", 1)[-1]
