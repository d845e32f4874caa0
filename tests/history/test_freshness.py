"""How fresh each layer is, at each limit, and with which exit code."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from click.testing import CliRunner, Result
from recorded import held
from tests.increments.lake import PROJECT, Lake, environment, readings

from bioreactor_lake.cli.freshness import freshness
from bioreactor_lake.errors import UsageError
from bioreactor_lake.lake.freshness import LAYERS, read_limits

Ask = Callable[..., tuple[int, dict[str, dict[str, Any]]]]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path_factory.mktemp("fresh") / "lake", server)
    lake.checkpoints = None
    lake.put("a.parquet", readings("B-1", 1))
    lake.put("b.parquet", readings("B-2", 2))
    lake.run()
    yield lake
    lake.drop()


@pytest.fixture
def ask(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """The command at a time of the test's; its exit code, and what it says by layer."""
    monkeypatch.chdir(PROJECT)

    def run(now: datetime, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
        monkeypatch.setattr("bioreactor_lake.lake.freshness.read_clock", lambda: now)
        done = invoke(lake, "--format", "json", *arguments)
        return done.exit_code, {one["layer"]: one for one in json.loads(done.stdout)} if done.stdout else {}

    return run


def invoke(lake: Lake, *arguments: str) -> Result:
    from kedro.framework.startup import bootstrap_project

    with environment(lake):
        bootstrap_project(PROJECT)
        return CliRunner().invoke(freshness, list(arguments))


@pytest.fixture
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Other limits than the project's, for every layer."""
    from kedro.framework.project import settings

    conf = tmp_path / "conf"
    shutil.copytree(PROJECT / "conf", conf, ignore=shutil.ignore_patterns("local"))
    (conf / "local").mkdir()

    def write(both: str) -> None:
        lines = [f"  {layer}: {both}" for layer in LAYERS]
        (conf / "base/parameters_freshness.yml").write_text("\n".join(["freshness:", *lines]))

    monkeypatch.setattr("bioreactor_lake.settings.CONF_SOURCE", str(conf), raising=False)
    yield write
    monkeypatch.undo()
    settings.set("CONF_SOURCE", "conf")


DATA_ONLY = "{data: {warn_hours: 2, error_hours: 3}, run: {warn_hours: null, error_hours: null}}"
RUN_ONLY = "{data: {warn_hours: null}, run: {warn_hours: 2, error_hours: 3}}"


@pytest.mark.parametrize(
    ("hours", "microseconds", "code", "verdict"),
    [(2, 0, 0, "fresh"), (2, 1, 5, "stale"), (3, 0, 5, "stale"), (3, 1, 6, "too old"), (-1, 0, 0, "fresh")],
)
def test_the_newest_reading_counts_to_the_microsecond(
    ask: Ask, limits: Callable[[str], None], hours: int, microseconds: int, code: int, verdict: str
) -> None:
    limits(DATA_ONLY)
    newest = readings("B-2", 2)[-1][3].replace(tzinfo=UTC)
    ended, found = ask(newest + timedelta(hours=hours, microseconds=microseconds))
    assert ended == code
    assert list(found) == list(LAYERS)
    for layer in found.values():
        assert (layer["freshness"], layer["data"], layer["run"]) == (verdict, verdict, "fresh")
        assert layer["newest_reading"] == newest.isoformat()
        assert ("future" in layer["note"]) == (hours < 0)
    for layer in ("curated", "marts"):
        assert found[layer]["newest_batch_start"] == readings("B-2", 2)[0][3].replace(tzinfo=UTC).isoformat()


@pytest.mark.slow
def test_the_last_run_counts_where_it_brought_all_of_a_layer_up_to_date(
    ask: Ask, limits: Callable[[str], None], lake: Lake
) -> None:
    limits(RUN_ONLY)
    first = last_ends(lake)
    assert ask(first["curated"] + timedelta(hours=2), "--layer", "curated")[0] == 0
    code, found = ask(first["curated"] + timedelta(hours=2, microseconds=1), "--layer", "curated")
    assert (code, list(found), found["curated"]["freshness"]) == (5, ["curated"], "stale")
    assert ask(first["marts"] + timedelta(hours=3, microseconds=1), "--layer", "marts")[0] == 6
    # None of these is a run of the whole layer that went well.
    lake.run_batches("B-1")
    with environment(lake):
        lake.logic["marts.build_timeline"] = fails
        with pytest.raises(RuntimeError):
            lake.run("marts")
        lake.logic.clear()
    _, found = ask(first["marts"] + timedelta(hours=1))
    for layer, end in first.items():
        assert found[layer]["last_run_at"] == end.isoformat(), layer
    lake.run("curated")
    _, found = ask(first["marts"] + timedelta(hours=1))
    assert found["marts"]["last_run_at"] == first["marts"].isoformat()
    assert found["curated"]["last_run_at"] > first["curated"].isoformat()
    assert found["curated"]["last_run_id"] != found["marts"]["last_run_id"]


def fails(*inputs: object) -> object:
    raise RuntimeError("it broke")


def last_ends(lake: Lake) -> dict[str, datetime]:
    with duckdb.connect(lake.warehouse, read_only=True) as connection:
        ends = dict(connection.execute("SELECT pipeline, max(ended_at) FROM ops.node_runs GROUP BY ALL").fetchall())
    return {layer: ends[pipeline].replace(tzinfo=UTC) for layer, pipeline in LAYERS.items()}


def test_what_is_not_there_is_older_than_any_limit(
    ask: Ask, limits: Callable[[str], None], lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake, "warehouse", tmp_path / "none" / "lake.duckdb")
    for both, code in ((DATA_ONLY, 6), ("{data: {warn_hours: 1}}", 5), ("{}", 0)):
        limits(both)
        ended, found = ask(datetime(2026, 1, 1, tzinfo=UTC), "--layer", "raw", "--layer", "curated")
        assert (ended, {layer["freshness"] for layer in found.values()}) == (code, {"never built"})
    assert not (tmp_path / "none").exists()


def test_marts_that_cannot_be_reached_are_no_fresh_ones(
    ask: Ask, limits: Callable[[str], None], lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits("{}")
    monkeypatch.setattr(lake, "database", "postgresql://lake:hunter2-secret@127.0.0.1:1/lake")
    code, found = ask(datetime(2026, 1, 1, tzinfo=UTC))
    assert (code, found["marts"]["freshness"], found["curated"]["freshness"]) == (1, "unreachable", "fresh")
    assert "127.0.0.1:1/lake" in found["marts"]["note"]
    assert "hunter2" not in found["marts"]["note"]
    assert ask(datetime(2026, 1, 1, tzinfo=UTC), "--layer", "curated")[0] == 0


def test_it_waits_for_nobody_and_says_it_for_people(ask: Ask, limits: Callable[[str], None], lake: Lake) -> None:
    limits(DATA_ONLY)
    newest = readings("B-2", 2)[-1][3].replace(tzinfo=UTC)
    ask(newest)
    done = invoke(lake)
    (line,) = [line for line in done.stdout.splitlines() if "curated" in line]
    assert "fresh" in line
    assert f"{newest:%Y-%m-%d %H:%M}" in line
    with held(lake) as pid:
        done = invoke(lake)
    assert done.exit_code == 4
    assert f"PID {pid}" in done.stderr


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"bronze": {}}, "bronze"),
        ({"raw": {"warn_hours": 3}}, "freshness.raw"),
        ({"raw": {"data": {"warn": 3}}}, "freshness.raw.data"),
        ({"raw": {"data": {"warn_hours": -1}}}, "warn_hours"),
        ({"raw": {"data": {"warn_hours": "24"}}}, "warn_hours"),
        ({"raw": {"data": {"error_hours": float("nan")}}}, "error_hours"),
        ({"raw": {"data": {"error_hours": True}}}, "error_hours"),
        ([], "freshness is"),
    ],
)
def test_a_slip_in_the_limits_is_named(config: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_limits(config)


def test_no_limit_may_be_said_in_several_ways() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for config in (
        None,
        {},
        {"raw": {"data": {"error_hours": None}}},
        {"raw": {"data": {"error_hours": float("inf")}}},
    ):
        assert read_limits(config)["raw"].data.judge(datetime.min.replace(tzinfo=UTC), now) == "fresh"


def test_the_project_has_limits_for_every_layer_and_stricter_ones_in_production() -> None:
    from kedro.config import OmegaConfigLoader

    from bioreactor_lake.settings import CONFIG_LOADER_ARGS

    for environment_name, is_strict in (("local", False), ("prod", True)):
        loader = OmegaConfigLoader(str(PROJECT / "conf"), env=environment_name, **CONFIG_LOADER_ARGS)
        found = read_limits(loader["parameters"]["freshness"])
        for layer in found.values():
            assert layer.data.warn_hours == 24
            assert (layer.data.error_hours is not None, layer.run.error_hours is not None) == (is_strict, is_strict)


@pytest.mark.slow
def test_a_mart_that_was_dropped_was_never_built(ask: Ask, limits: Callable[[str], None], lake: Lake) -> None:
    limits("{}")
    with psycopg.connect(lake.database) as connection:
        connection.execute("DROP TABLE marts.mart_bioreactor_overview")
    _, found = ask(datetime(2026, 1, 1, tzinfo=UTC))
    assert (found["marts"]["freshness"], found["curated"]["freshness"]) == ("never built", "fresh")
    lake.run("marts")
