"""What counts as arrived, told by real files of a real folder."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tests.increments.lake import Lake, readings
from tests.watch.watched import half

from bioreactor_lake.cli.watch.arrivals import Arrivals
from bioreactor_lake.cli.watch.schedule import Schedule
from bioreactor_lake.cli.watch.settings import WatchSettings
from bioreactor_lake.errors import UsageError
from bioreactor_lake.lake.runs import running
from bioreactor_lake.raw_store.folder import Folder
from bioreactor_lake.raw_store.wholeness import is_whole


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Lake:
    return Lake(tmp_path / "lake", server)


def test_a_file_has_arrived_when_it_is_whole_or_will_not_be(lake: Lake) -> None:
    arrivals = Arrivals(Folder(lake.raw), ["*.part"], patience_seconds=60)
    assert not arrivals.look()
    path = lake.put("a.parquet", readings("B-1", 1))
    data = half(path)
    for seen in (arrivals.look, lambda: arrivals.look_at(["a.parquet"]), arrivals.look_at_unfinished):
        assert not seen()
        assert arrivals.unfinished == {"a.parquet"}
    path.write_bytes(data)
    assert arrivals.look_at_unfinished()
    assert not arrivals.unfinished
    # Of what is known nothing is told twice, whichever way it is heard of.
    assert not arrivals.look_at(["a.parquet"])
    assert not arrivals.look()
    lake.put("b.parquet", readings("B-2", 2))
    (lake.raw / ".c.parquet").write_bytes(data)
    (lake.raw / "d.parquet.part").write_bytes(data)
    assert not arrivals.look_at([".c.parquet", "d.parquet.part"])
    assert arrivals.look()
    path.unlink()
    assert arrivals.look_at(["a.parquet"])
    # What nobody has written to for long will not be whole any more.
    half(lake.raw / "b.parquet")
    assert not arrivals.look()
    assert Arrivals(Folder(lake.raw), [], patience_seconds=0).look()


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (b"", False),
        (b"PAR1PAR1", False),
        (b"PAR1" + b"\x01\x00\x00\x00" + b"PAR1", False),
        (b"PAR1" + b"x" + b"\x01\x00\x00\x00" + b"PAR1", True),
        (b"PAR1" + b"x" + b"\x02\x00\x00\x00" + b"PAR1", False),
        (b"batch_id,tag,value\n" * 10, False),
    ],
)
def test_a_whole_file_ends_with_its_footer(tmp_path: Path, content: bytes, whole: bool) -> None:
    (tmp_path / "f.parquet").write_bytes(content)
    assert is_whole(tmp_path / "f.parquet") is whole


@pytest.mark.slow
def test_a_run_of_a_watch_leaves_new_files_to_their_writers_and_a_plain_run_does_not(lake: Lake) -> None:
    lake.put("a.parquet", readings("B-1", 1))
    lake.put("c.parquet", readings("B-3", 3))
    cut = lake.put("b.parquet", readings("B-2", 2))
    half(cut)
    good = {"a.parquet": "accepted", "c.parquet": "accepted"}
    assert _known(lake, patience=3600) == good
    os.utime(cut)
    time.sleep(0.3)
    assert _known(lake, patience=0.2) == good | {"b.parquet": "quarantined"}
    # What a run knows is looked at as it is, or old rows would be read from a file that has them no more.
    half(lake.raw / "a.parquet")
    assert _known(lake, patience=3600)["a.parquet"] == "quarantined"
    lake.drop()


def _known(lake: Lake, patience: float) -> dict[str, str]:
    with running() as run:
        run.patience_seconds = patience
        lake.run("ingestion")
    with lake.open_warehouse() as connection:
        rows = connection.execute("SELECT path, status FROM raw.files WHERE status IN ('accepted', 'quarantined')")
        return dict(rows.fetchall())


def test_what_arrives_during_a_run_is_for_the_next_and_failures_are_spaced_out() -> None:
    schedule = Schedule(retry_seconds=5, longest_retry_seconds=12)
    assert schedule.is_due(0)
    schedule.begin()
    schedule.change(1)
    assert not schedule.is_due(100)
    schedule.end(2, success=True)
    assert schedule.is_due(2)
    schedule.begin()
    schedule.end(3, success=True)
    assert not schedule.is_due(1e9)
    waits = []
    for _ in range(4):
        schedule.begin()
        schedule.end(100, success=False)
        waits.append(schedule.due_at - 100)
    assert waits == [5, 10, 12, 12]
    # Files that come bring it forward, but never so that nothing else is done.
    schedule.change(101)
    assert schedule.due_at == 105
    schedule.begin()
    schedule.end(106, success=True)
    schedule.change(107)
    assert schedule.is_due(107)


def test_settings_that_mean_nothing_are_named() -> None:
    assert WatchSettings.read({"port": 1}, {"port": 0, "poll_seconds": None}).port == 0
    for wrong in ({"prot": 1}, {"port": "x"}, {"look_seconds": -1}, {"host": 5}):
        with pytest.raises(UsageError, match=rf"watch\.{next(iter(wrong))}"):
            WatchSettings.read(wrong, {})
