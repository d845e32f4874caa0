"""Files that come with other columns than those before, and a mart that gets other columns than it had."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pyarrow as pa
import pytest
from tests.increments.lake import Lake, readings
from tests.increments.variants import with_a_range

CURATED_AND_MARTS = ("intermediate", "curated", "marts")


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    made = Lake(tmp_path / "lake", server)
    for number in range(3):
        made.put(f"{number}.parquet", readings(f"B-{number}", number + 1))
    made.run()
    yield made
    made.drop()


def with_a_site(table: pa.Table) -> pa.Table:
    return table.append_column("Plant", pa.array(["Basel"] * len(table)))


def with_text(table: pa.Table) -> pa.Table:
    for position, name in ((3, "ts"), (4, "value")):
        table = table.set_column(position, name, pa.array([str(cell) for cell in table[name].to_pylist()]))
    return table


def with_other_names(table: pa.Table) -> pa.Table:
    return table.rename_columns(["Batch No.", "Reactor-ID", "Parameter", "Timestamp", "PV"])


def in_another_language(table: pa.Table) -> pa.Table:
    return table.rename_columns({"batch_id": "Charge"})


@pytest.mark.slow
@pytest.mark.parametrize("form", [with_a_site, with_text, with_other_names])
def test_a_file_with_other_columns_changes_its_batch_alone(lake: Lake, form: Callable[[pa.Table], pa.Table]) -> None:
    before = lake.tables()["mart_bioreactor_overview"]
    lake.put("1.parquet", readings("B-1", 2), form)
    written = {write.table: write.batches for write in lake.run().writes if write.table.startswith(CURATED_AND_MARTS)}
    # No source tells of samples of this batch.
    assert written.pop("curated.fact_sample_result") == 0
    assert set(written.values()) == {1}
    lake.assert_equals_fresh_build()
    after = lake.tables()["mart_bioreactor_overview"]
    site = "Basel" if form is with_a_site else None
    assert [*after[after.batch_id == "B-1"].site] == [site] * 3
    assert after.drop(columns="site").equals(before.drop(columns="site"))


@pytest.mark.slow
def test_a_file_without_a_column_is_quarantined_until_its_name_is_known(lake: Lake) -> None:
    before = lake.tables()["mart_bioreactor_overview"]
    lake.put("1.parquet", readings("B-1", 2), in_another_language)
    known, run = lake.marts(), lake.run()
    assert any("1.parquet" in notice and "batch_id" in notice for notice in run.notices), run.notices
    assert list(run.held) == ["B-1"]
    lake.assert_equals_fresh_build([*run.held], known)
    lake.reading = {"synonyms": {"batch_id": ["charge"]}}
    lake.run()
    assert lake.tables()["mart_bioreactor_overview"].equals(before)


@pytest.mark.slow
def test_a_mart_that_gains_and_loses_a_column_keeps_grants_views_and_rows(lake: Lake) -> None:
    reader, mart = f"reader_{uuid4().hex[:8]}", "marts.mart_bioreactor_overview"
    before = lake.tables()["mart_bioreactor_overview"]
    with psycopg.connect(lake.database) as connection:
        connection.execute(f"CREATE ROLE {reader}")
        connection.execute(f"GRANT USAGE ON SCHEMA marts TO {reader}")
        connection.execute(f"GRANT SELECT ON {mart} TO {reader}")
        connection.execute(f"CREATE VIEW marts.on_top AS SELECT batch_id, max_value FROM {mart}")
    try:
        for logic in ({"marts.build_overview": with_a_range}, {}):
            lake.logic = logic
            lake.run()
            rows = lake.tables()["mart_bioreactor_overview"]
            assert ("range" in rows) == bool(logic)
            assert rows[before.columns].equals(before)
            with psycopg.connect(lake.database) as connection:
                assert connection.execute("SELECT count(*) FROM marts.on_top").fetchone() == (len(before),)
                connection.execute(f"SET ROLE {reader}")
                assert connection.execute(f"SELECT count(*) FROM {mart}").fetchone() == (len(before),)
    finally:
        with psycopg.connect(lake.database) as connection:
            connection.execute(f"DROP OWNED BY {reader}")
            connection.execute(f"DROP ROLE {reader}")
