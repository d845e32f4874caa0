"""`marts.mart_set_aside`: what is not in the marts, told by each run that comes to Postgres."""

from __future__ import annotations

from typing import Any

import duckdb
import psycopg
import pytest
from tests.increments.lake import Lake
from tests.quality.test_quality_mart import put


def told(lake: Lake) -> dict[tuple[str, str], tuple[Any, ...]]:
    with psycopg.connect(lake.database) as connection:
        rows = connection.execute(
            "SELECT kind, name, batch_id, rows, reason, site, shown, since FROM marts.mart_set_aside"
        ).fetchall()
    return {(kind, name): tuple(rest) for kind, name, *rest in rows}


@pytest.mark.slow
def test_it_says_what_is_set_aside_until_it_is_no_more(lake: Lake) -> None:
    put(lake, 1)
    put(lake, 2, ph=99)
    (lake.raw / "cut.parquet").write_bytes(b"PAR1 cut off PAR1")
    lake.run()
    first = told(lake)
    assert set(first) == {("held batch", "B-2"), ("quarantined file", "cut.parquet")}
    batch, rows, reason, site, shown, since = first["held batch", "B-2"]
    assert (batch, rows, shown) == ("B-2", None, "nothing")
    with duckdb.connect(lake.warehouse, read_only=True) as connection:
        assert connection.execute("SELECT site FROM curated.dim_batch WHERE batch_id = 'B-2'").fetchone() == (site,)
    assert first["quarantined file", "cut.parquet"][3:5] == (None, None)
    assert "values_are_physical: 5 of 15 rows fail" in reason
    assert "99" not in reason
    lake.run()
    assert told(lake)["held batch", "B-2"][-1] == since
    lake.release("B-2")
    lake.run()
    assert set(told(lake)) == {("quarantined file", "cut.parquet")}
    # What was published of a batch is shown until its newer version may be.
    put(lake, 1, ph=99)
    lake.run()
    assert told(lake)["held batch", "B-1"][4] == "its earlier version"
    put(lake, 1)
    (lake.raw / "cut.parquet").unlink()
    put(lake, 3)
    lake.run()
    assert told(lake) == {}
