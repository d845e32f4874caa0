"""Whatever happened to the raw files and the runs, the tables equal those of one full run in an empty lake."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.increments.lake import Lake, readings

BATCHES = st.sampled_from(["B-1", "b-1", "00042", "42", "it's; --", 'q"uo[te]*'])
FILES = st.sampled_from(["a.parquet", "b.parquet", "sub/c.parquet", "d[1]*.parquet"])
SEEDS = st.integers(0, 40)
PIPELINES = st.sampled_from(["ingestion", "staging", "curated", "marts"])
# 200 and more are for the night: BIOREACTOR_LAKE_SEQUENCES=200
SEQUENCES = int(os.environ.get("BIOREACTOR_LAKE_SEQUENCES", "20"))


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

    @rule(path=FILES, batch=BATCHES, seed=SEEDS)
    def write(self, path: str, batch: str, seed: int) -> None:
        self.lake.put(path, readings(batch, seed))

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

    @precondition(lambda self: self.ran)
    @rule(pipeline=PIPELINES)
    def run_one_pipeline(self, pipeline: str) -> None:
        try:
            self.lake.run(pipeline, allow_removal=True)
        except Exception as error:
            assert "Traceback" not in str(error)
            assert "Next:" in str(error), error

    @precondition(lambda self: self.ran)
    @rule()
    def save_warehouse(self) -> None:
        self.saved = self.lake.folder / "saved.duckdb"
        shutil.copy(self.lake.warehouse, self.saved)

    @precondition(lambda self: self.saved is not None)
    @rule()
    def restore_warehouse(self) -> None:
        shutil.copy(self.saved, self.lake.warehouse)

    @rule(minimum=st.integers(1, 2))
    def run_all(self, minimum: int) -> None:
        try:
            self.lake.run(allow_removal=True)
        except Exception as error:
            assert "No raw file was accepted" in str(error), error
            return
        self.ran = True
        self.lake.assert_equals_fresh_build()

    def teardown(self) -> None:
        self.lake.drop()


@pytest.mark.parametrize("sequences", [2, pytest.param(SEQUENCES, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
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
