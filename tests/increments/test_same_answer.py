"""Whatever happened to the raw files and the runs, the tables equal those of one full run in an empty lake.

Marts do so except for held batches, which keep what was last published of them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.increments.expected_holds import OVERVIEW, WATCHED, FullBuild, Memory, suites_of
from tests.increments.lake import MARTS, Lake, readings
from tests.increments.variants import VARIANTS

BATCHES = st.sampled_from(["B-1", "b-1", "00042", "42", "it's; --", 'q"uo[te]*'])
FILES = st.sampled_from(["a.parquet", "b.parquet", "sub/c.parquet", "d[1]*.parquet"])
SEEDS = st.integers(0, 40)
PIPELINES = st.sampled_from(["ingestion", "staging", "curated", "marts"])
STATEMENTS = st.integers(0, 360)  # a full build has some 355, a run that changes a batch 275
RULES = st.sampled_from(
    [
        {"time_zone": "Europe/Berlin"},
        {"time_zones": {"sub/": "Asia/Tokyo"}},
        {"epoch_unit": "s"},
        {"synonyms": {"batch_id": ["charge"]}},
        {},
    ]
)
LIMITS = st.sampled_from([None, 20.3, 60.3, 120.3])  # of values that are good; a batch has values up to 200
SEVERITIES = st.sampled_from(["warn", "error", "error", "fatal"])
NOTHING, STOPS = "No raw file was accepted", "fails what nothing may be built on"
# 200 and more are for the night: BIOREACTOR_LAKE_SEQUENCES=200
SEQUENCES = int(os.environ.get("BIOREACTOR_LAKE_SEQUENCES", "20"))


def plain(table: pa.Table) -> pa.Table:
    return table


def in_another_language(table: pa.Table) -> pa.Table:
    """Without the synonym it is quarantined."""
    return table.rename_columns({"batch_id": "Charge"})


def with_two_batch_columns(table: pa.Table) -> pa.Table:
    """With the synonym it is quarantined."""
    return table.append_column("charge", table["batch_id"])


def with_epochs(table: pa.Table) -> pa.Table:
    return table.set_column(3, "ts", pc.divide(table["ts"].cast(pa.timestamp("us")).cast("int64"), 1000))


def with_a_row_less(table: pa.Table) -> pa.Table:
    """Its first row has no tag and is rejected."""
    tags = [None, *table["tag"].to_pylist()[1:]]
    return table.set_column(2, "tag", pa.array(tags, pa.string())).append_column("site", pa.array(["S"] * len(table)))


FORMS = st.sampled_from([plain, in_another_language, with_two_batch_columns, with_epochs, with_a_row_less])


class Histories(RuleBasedStateMachine):
    server: str

    def __init__(self) -> None:
        super().__init__()
        self.lake = Lake(Path(tempfile.mkdtemp(prefix="lake_")) / "lake", self.server)
        self.lake.checkpoints, self.lake.suites = True, suites_of({})
        self.limits: dict[str, tuple[float, str]] = {}
        self.memory = Memory()
        self.sound: dict[str, bytes] = {}  # files as they were before they were spoiled
        self.saved: tuple[Path, dict[str, frozenset[str]]] | None = None
        self.ran = False
        self.held: tuple[str, ...] = ()  # by the last run, if nothing happened since

    @initialize(limit=LIMITS.filter(bool))
    def begin(self, limit: float) -> None:
        self.change_suite("stg_bioreactor", limit, "error")
        self.lake.put("a.parquet", readings("B-1", 1))
        self.lake.put("b.parquet", readings("00042", 2))
        self.lake.put("sub/c.parquet", readings("B-1", 3) + readings("b-1", 4))

    @rule(path=FILES, batch=BATCHES, seed=SEEDS, form=FORMS)
    def write(self, path: str, batch: str, seed: int, form: Callable[[pa.Table], pa.Table]) -> None:
        self.lake.put(path, readings(batch, seed), form)

    @rule(path=FILES, first=BATCHES, second=BATCHES, seed=SEEDS)
    def write_two_batches(self, path: str, first: str, second: str, seed: int) -> None:
        self.lake.put(path, readings(first, seed) + readings(second, seed + 1, count=3))

    @rule(path=FILES)
    def remove(self, path: str) -> None:
        if len(list(self.lake.raw.rglob("*.parquet"))) > 1:
            (self.lake.raw / path).unlink(missing_ok=True)

    @rule(path=FILES)
    def touch(self, path: str) -> None:
        if (self.lake.raw / path).exists():
            os.utime(self.lake.raw / path)

    @rule(path=FILES, other=FILES)
    def rename(self, path: str, other: str) -> None:
        if (self.lake.raw / path).exists():
            (self.lake.raw / other).parent.mkdir(exist_ok=True)
            (self.lake.raw / path).rename(self.lake.raw / other)

    @rule(path=FILES)
    def damage(self, path: str) -> None:
        target = self.lake.raw / path
        if target.exists() and len(list(self.lake.raw.rglob("*.parquet"))) > 1:
            target.write_bytes(target.read_bytes()[:-5])

    @rule(path=FILES)
    def spoil(self, path: str) -> None:
        """A bad file arrives: its values are far too large."""
        table = self.rows_of(path)
        if table is not None:
            self.sound.setdefault(path, (self.lake.raw / path).read_bytes())
            place = table.column_names.index("value")
            pq.write_table(table.set_column(place, "value", pc.add(table["value"], 500.0)), self.lake.raw / path)

    @precondition(lambda self: self.sound)
    @rule(number=st.integers(0, 3))
    def mend(self, number: int) -> None:
        path = sorted(self.sound)[number % len(self.sound)]
        (self.lake.raw / path).write_bytes(self.sound.pop(path))

    @rule(path=FILES, other=FILES)
    def move_half_of_the_rows(self, path: str, other: str) -> None:
        table = self.rows_of(path)
        if table is not None and path != other:
            pq.write_table(table.slice(0, len(table) // 2), self.lake.raw / path)
            (self.lake.raw / other).parent.mkdir(exist_ok=True)
            pq.write_table(table.slice(len(table) // 2), self.lake.raw / other)

    @rule(path=FILES, other=FILES)
    def merge(self, path: str, other: str) -> None:
        first, second = self.rows_of(path), self.rows_of(other)
        if first is not None and second is not None and path != other and first.schema.equals(second.schema):
            pq.write_table(pa.concat_tables([first, second]), self.lake.raw / path)
            (self.lake.raw / other).unlink()

    @rule(node=st.sampled_from(sorted(VARIANTS)), number=st.integers(0, 3))
    def change_logic(self, node: str, number: int) -> None:
        self.lake.logic.pop(node, None)
        if number < len(VARIANTS[node]):
            self.lake.logic[node] = VARIANTS[node][number]

    @rule(reading=RULES)
    def change_reading_rules(self, reading: dict[str, object]) -> None:
        self.lake.reading = reading

    @rule(table=st.sampled_from(sorted(WATCHED)), limit=LIMITS, severity=SEVERITIES)
    def change_suite(self, table: str, limit: float | None, severity: str) -> None:
        self.limits.pop(table, None)
        if limit is not None:
            # A mart stops only for what is about to be published, which depends on what is held.
            self.limits[table] = limit, "error" if table == OVERVIEW and severity == "fatal" else severity
        self.lake.suites = suites_of(self.limits)

    @precondition(lambda self: self.ran)
    @rule(pipeline=PIPELINES)
    def run_one_pipeline(self, pipeline: str) -> None:
        with self.readers_see_nothing_bad():
            try:
                self.lake.run(pipeline, allow_removal=True)
            except Exception as error:
                assert "Traceback" not in str(error)
                assert "Next:" in str(error), error

    @rule(statement=STATEMENTS)
    def run_until_killed(self, statement: int) -> None:
        with self.readers_see_nothing_bad():
            assert self.lake.run_until_killed(statement, allow_removal=True) in (-9, 0, 1)

    @rule(batch=BATCHES)
    def run_one_batch(self, batch: str) -> None:
        with self.readers_see_nothing_bad():
            try:
                self.lake.run_batches(batch, allow_removal=True)
            except Exception as error:
                expected = ("No accepted raw file holds", NOTHING, STOPS)
                assert any(sentence in str(error) for sentence in expected), error

    @precondition(lambda self: self.ran)
    @rule()
    def save_warehouse(self) -> None:
        folder = self.lake.folder / "saved"
        self.saved = folder, dict(self.memory.read)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.lake.warehouse.parent, folder)

    @precondition(lambda self: self.saved is not None)
    @rule()
    def restore_warehouse(self) -> None:
        shutil.rmtree(self.lake.warehouse.parent)
        folder, read = self.saved
        shutil.copytree(folder, self.lake.warehouse.parent)
        self.memory.read = dict(read)
        self.memory.shake()

    @precondition(lambda self: self.ran)
    @rule()
    def lose_warehouse(self) -> None:
        self.lake.warehouse.unlink(missing_ok=True)
        self.memory.lose()

    @rule()
    def run_all(self) -> None:
        self.held = ()
        try:
            self.lake.build_fresh()
        except Exception as error:
            assert NOTHING in str(error), error
            with pytest.raises(Exception, match=NOTHING):
                self.lake.run(allow_removal=True)
            self.note()
            return
        build = self.full_build()
        holds = self.memory.expect(build, self.limits, self.sources())
        stops = any(
            severity == "fatal" and build.find_failing(table, limit) for table, (limit, severity) in self.limits.items()
        )
        before = self.lake.marts()
        try:
            run = self.lake.run(allow_removal=True)
        except Exception as error:
            assert STOPS in str(error), error
            assert stops, error
            self.note()
            assert_same(self.lake.marts(), before)
            return
        self.note()
        self.ran = True
        assert not stops
        assert run.failing_tables == {}
        own = {batch for batch, why in run.held.items() if all(one.startswith(f"marts.{OVERVIEW}:") for one in why)}
        in_all = run.held.keys() - own
        assert holds.of_all <= in_all <= holds.of_all | holds.perhaps, (run.held, holds)
        if "marts.build_overview" not in self.lake.logic:
            expected = holds.of_all | holds.of_overview
            assert expected <= run.held.keys() <= expected | holds.perhaps, (run.held, holds)
        self.lake.assert_equals_fresh_build({mart: run.held if mart == OVERVIEW else in_all for mart in MARTS}, before)
        assert self.verdicts() == {
            (WATCHED[table][0], batch, severity)
            for table, (limit, severity) in self.limits.items()
            for batch in build.find_failing(table, limit)
            if table != OVERVIEW
        }
        second = self.lake.run(allow_removal=True)
        again = {write.table: write.batches for write in second.writes}
        assert again.pop("raw.files") is None  # the manifest notes when it saw a file
        assert set(again.values()) == {0}, again
        assert second.held == run.held
        self.held = tuple(run.held)

    @rule(number=st.integers(0, 5))
    def release(self, number: int) -> None:
        self.run_all()
        if not self.held:
            return
        batch, sources = self.held[number % len(self.held)], self.sources()
        self.lake.release(batch)
        self.memory.release(batch, self.full_build(), sources)
        self.run_all()

    @contextmanager
    def readers_see_nothing_bad(self) -> Iterator[None]:
        """What is published by what is done has no value above the limits in force, unless it was released."""
        before = self.lake.marts().get(OVERVIEW)
        self.held = ()
        yield
        self.note()
        after = self.lake.marts().get(OVERVIEW)
        if after is None:
            return
        for batch, rows in after.groupby("batch_id"):
            known = before[before.batch_id == batch] if before is not None else None
            if known is not None and rows.astype(str).values.tolist() == known.astype(str).values.tolist():
                continue
            for table, column in (("stg_bioreactor", "max_value"), (OVERVIEW, "avg_value")):
                limit, severity = self.limits.get(table, (0, "warn"))
                name = str(batch).strip("()")
                if severity == "warn" or not self.memory.released.keys().isdisjoint({(table, batch), (table, name)}):
                    continue
                if column == "max_value" and "curated.summarise_tags" in self.lake.logic:
                    continue  # it may be that of another batch
                assert rows[column].max() <= limit, (batch, table, rows)

    def note(self) -> None:
        """Remember what the manifest says; of a copy, so that a run that was killed leaves its log to the next one."""
        if not self.lake.warehouse.exists():
            return
        copy = self.lake.folder / "looked_at"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.lake.warehouse.parent, copy)
        with duckdb.connect(copy / self.lake.warehouse.name) as connection, suppress(duckdb.CatalogException):
            self.memory.note(
                connection.execute(
                    "SELECT path, status, batch_ids FROM raw.files WHERE status IN ('accepted', 'quarantined')"
                ).fetchall()
            )

    def full_build(self) -> FullBuild:
        files = self.lake.fresh_tables["raw.files"].to_dict("records")
        return FullBuild(files, self.lake.fresh_peaks, dict(self.lake.logic))

    def sources(self) -> dict[str, set[str]]:
        """By path of a raw file the batches that were published with rows of it."""
        found: dict[str, set[str]] = {}
        with psycopg.connect(self.lake.database) as connection, suppress(psycopg.errors.UndefinedTable):
            for path, batch in connection.execute("SELECT path, batch_id FROM lake.sources").fetchall():
                found.setdefault(path, set()).add(batch)
        return found

    def verdicts(self) -> set[tuple[str, str, str]]:
        """What fails of the tables of the warehouse."""
        with self.lake.open_warehouse() as connection:
            rows = connection.execute(
                "SELECT table_name, batch_id, severity FROM quality.failing WHERE NOT starts_with(table_name, 'marts.')"
            ).fetchall()
        assert len(set(rows)) == len(rows)
        return set(rows)

    def rows_of(self, path: str) -> pa.Table | None:
        try:
            return pq.ParquetFile(self.lake.raw / path).read()
        except (FileNotFoundError, pa.ArrowInvalid):
            return None

    def teardown(self) -> None:
        self.lake.drop()
        shutil.rmtree(self.lake.folder.parent)


def assert_same(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    assert found.keys() == expected.keys()
    for mart, rows in expected.items():
        pd.testing.assert_frame_equal(found[mart], rows, obj=mart)


@pytest.mark.parametrize("sequences", [1, pytest.param(SEQUENCES, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_any_history_ends_in_the_same_tables(server: str, sequences: int) -> None:
    Histories.server = server
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=12 if sequences > 20 else 8,  # by night more of both
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate),  # a run takes seconds: shrinking would take hours
        ),
    )
