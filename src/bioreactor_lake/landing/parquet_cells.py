"""Cells of Parquet files, such as Airbyte writes: each column as text, each row by its number."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from bioreactor_lake.landing.cells import CellsFile, Facts, facts_of
from bioreactor_lake.landing.limits import Limits
from bioreactor_lake.pipelines.ingestion.profiles.profile import Profile
from bioreactor_lake.pipelines.ingestion.reading_rules import UnreadableFile

_ROWS = 20_000
# Where a column is of several types, writers by way of Avro make one field of each.
_MEMBER = re.compile(r"member\d+")


def read_parquet(location: Path, path: str, profile: Profile, limits: Limits, into: Path) -> Facts:
    """Write the cells of a Parquet file; memory does not grow with the file.

    Args:
        location: The file.
        path: Its path under the source's folder.
        profile: How it is read.
        limits: What it may be.
        into: The Parquet file to write.

    Returns:
        What is known of it beside its rows.

    Raises:
        UnreadableFile: It is no Parquet file, or beyond the limits.
        OSError: It cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with location.open("rb") as stream, pq.ParquetFile(stream) as file:
            facts = facts_of(path, [file.schema_arrow.names], profile, limits)
            cells = CellsFile(into, len(facts.head.columns))
            line = given = 0
            try:
                for batch in file.iter_batches(_ROWS, use_threads=False):
                    texts = [_as_text(column) for column in batch.columns]
                    given += sum(text.nbytes for text in texts)
                    if given > limits.bytes:
                        raise UnreadableFile(
                            f"it holds more than {limits.bytes:,} bytes when it is unpacked",
                            next_step="split it, or raise limits.bytes of landing_zone in conf/base/catalog.yml",
                        )
                    cells.add(range(line + 1, line + 1 + batch.num_rows), texts)
                    line += batch.num_rows
            finally:
                cells.close()
            return facts
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableFile(
            f"it is no Parquet file that can be read ({reason})", next_step="check that it is whole"
        ) from error


def _as_text(column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if isinstance(kind, pa.DictionaryType):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_struct(kind) and kind.num_fields and all(_MEMBER.fullmatch(field.name) for field in kind):
        members = [_as_text(pc.struct_field(column, [number])) for number in range(kind.num_fields)]
        return pc.coalesce(*members) if len(members) > 1 else members[0]
    if pa.types.is_timestamp(kind):
        # The lake keeps microseconds.
        return (
            column.cast(pa.timestamp("us", kind.tz), safe=False)
            .cast(pa.timestamp("us", kind.tz and "UTC"))
            .cast(pa.string())
        )
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.array([None if one is None else _spell(one) for one in column.to_pylist()], pa.string())
    return column.cast(pa.string())


def _spell(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, default=str, ensure_ascii=False)
