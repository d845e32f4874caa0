"""Whatever happened to the raw files and the runs, the tables equal those of one full run in an empty lake."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.increments.lake import Lake, readings
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
        self.saved: Path | None = None
        self.ran = False

    @initialize()
    def begin(self) -> None:
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

    @precondition(lambda self: self.ran)
    @rule(pipeline=PIPELINES)
    def run_one_pipeline(self, pipeline: str) -> None:
        try:
            self.lake.run(pipeline, allow_removal=True)
        except Exception as error:
            assert "Traceback" not in str(error)
            assert "Next:" in str(error), error

    @rule(statement=STATEMENTS)
    def run_until_killed(self, statement: int) -> None:
        assert self.lake.run_until_killed(statement, allow_removal=True) in (-9, 0, 1)

    @rule(batch=BATCHES)
    def run_one_batch(self, batch: str) -> None:
        try:
            self.lake.run_batches(batch, allow_removal=True)
        except Exception as error:
            assert "No accepted raw file holds" in str(error) or "No raw file was accepted" in str(error), error

    @precondition(lambda self: self.ran)
    @rule()
    def save_warehouse(self) -> None:
        self.saved = self.lake.folder / "saved"
        shutil.rmtree(self.saved, ignore_errors=True)
        shutil.copytree(self.lake.warehouse.parent, self.saved)

    @precondition(lambda self: self.saved is not None)
    @rule()
    def restore_warehouse(self) -> None:
        shutil.rmtree(self.lake.warehouse.parent)
        shutil.copytree(self.saved, self.lake.warehouse.parent)

    @rule()
    def run_all(self) -> None:
        before = self.lake.marts()
        try:
            held = self.lake.run(allow_removal=True).held
        except Exception as error:
            assert "No raw file was accepted" in str(error), error
            return
        self.ran = True
        self.lake.assert_equals_fresh_build(held, before)
        again = {write.table: write.batches for write in self.lake.run(allow_removal=True).writes}
        assert again.pop("raw.files") is None  # the manifest notes when it saw a file
        assert set(again.values()) == {0}, again

    def rows_of(self, path: str) -> pa.Table | None:
        try:
            return pq.ParquetFile(self.lake.raw / path).read()
        except (FileNotFoundError, pa.ArrowInvalid):
            return None

    def teardown(self) -> None:
        self.lake.drop()
        shutil.rmtree(self.lake.folder.parent)


@pytest.mark.parametrize("sequences", [1, pytest.param(SEQUENCES, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_any_history_ends_in_the_same_tables(server: str, sequences: int) -> None:
    Histories.server = server
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate),  # a run takes seconds: shrinking would take hours
        ),
    )
