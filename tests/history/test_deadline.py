"""Whether the nightly run was in time: by its start, its deadline and their zone."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result
from recorded import held
from tests.increments.lake import PROJECT, Lake, environment, readings

from bioreactor_lake.cli.freshness import freshness
from bioreactor_lake.errors import UsageError
from bioreactor_lake.lake.deadline import read_deadline


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path_factory.mktemp("deadline") / "lake", server)
    lake.put("a.parquet", readings("B-1", 1))
    lake.run()
    yield lake
    lake.drop()


def ask(lake: Lake, monkeypatch: pytest.MonkeyPatch, now: datetime, *arguments: str) -> Result:
    from kedro.framework.startup import bootstrap_project

    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr("bioreactor_lake.lake.freshness.read_clock", lambda: now)
    with environment(lake):
        bootstrap_project(PROJECT)
        return CliRunner().invoke(freshness, list(arguments))


def test_a_run_is_in_time_if_it_ended_between_start_and_deadline(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    before, later = f"{now - timedelta(minutes=30):%H:%M}", f"{now + timedelta(minutes=30):%H:%M}"
    looked = now + timedelta(hours=1)
    done = ask(lake, monkeypatch, looked, "--deadline", later, "--start", before, "--zone", "UTC")
    assert (done.exit_code, done.output.rstrip().endswith("and was.")) == (0, True), done.output
    # The next night's has not come.
    missed = ask(lake, monkeypatch, looked + timedelta(days=1), "--deadline", later, "--start", before, "--zone", "UTC")
    assert missed.exit_code == 6
    assert "marts: last brought up to date" in missed.output
    as_json = ("--deadline", later, "--start", before, "--zone", "UTC", "--layer", "marts", "--format", "json")
    told = json.loads(ask(lake, monkeypatch, looked + timedelta(days=1), *as_json).stdout)
    assert set(told["late"]) == {"marts"}


def test_a_run_that_is_still_at_it_is_late(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(lake):
        done = ask(lake, monkeypatch, datetime.now(UTC), "--deadline", "02:15")
    assert done.exit_code == 6
    assert "a run still holds the warehouse" in done.output


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        ("2026-07-02T00:15+00:00", "2026-07-02T00:00+00:00", "2026-07-02T00:15+00:00"),
        ("2026-07-02T00:14:59+00:00", "2026-07-01T00:00+00:00", "2026-07-01T00:15+00:00"),
        ("2026-12-02T01:15+00:00", "2026-12-02T01:00+00:00", "2026-12-02T01:15+00:00"),  # winter time
    ],
)
def test_the_deadline_is_one_of_its_zone(now: str, start: str, end: str) -> None:
    found = read_deadline("02:00", "02:15", "Europe/Zurich").newest(datetime.fromisoformat(now))
    assert found == (datetime.fromisoformat(start), datetime.fromisoformat(end))


def test_a_deadline_after_midnight_is_of_the_day_before() -> None:
    start, _ = read_deadline("23:30", "00:15", "UTC").newest(datetime(2026, 7, 2, 1, tzinfo=UTC))
    assert start == datetime(2026, 7, 1, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize("given", [("2 am", "02:15", "UTC"), ("02:00", "25:00", "UTC"), ("02:00", "02:15", "Mars")])
def test_what_means_nothing_is_refused(given: tuple[str, str, str]) -> None:
    with pytest.raises(UsageError):
        read_deadline(*given)
