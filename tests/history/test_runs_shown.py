"""`kedro lake runs`: what it shows of which runs, and to whom."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kedro.framework.startup import bootstrap_project
from recorded import held, ids
from tests.increments.lake import PROJECT, Lake, environment, readings

from bioreactor_lake.cli.runs import runs


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path_factory.mktemp("shown") / "lake", server)
    lake.checkpoints = None
    lake.put("a.parquet", readings("B-1", 1))
    lake.run()
    lake.logic["marts.build_overview"] = fails
    with pytest.raises(RuntimeError):
        lake.run_batches("B-1", full_refresh=True)
    lake.logic.clear()
    lake.run("curated", "marts")
    yield lake
    lake.drop()


def fails(*inputs: object) -> object:
    raise RuntimeError("it broke [here]")


def show(lake: Lake, *arguments: str) -> Result:
    with environment(lake), pytest.MonkeyPatch.context() as patch:
        patch.chdir(PROJECT)
        bootstrap_project(PROJECT)
        return CliRunner().invoke(runs, list(arguments))


@pytest.mark.slow
def test_the_newest_runs_come_first(lake: Lake) -> None:
    done = show(lake)
    assert done.exit_code == 0, done.output
    known = ids(lake)
    lines = [line for line in done.stdout.splitlines() if any(run[:13] in line for run in known)]
    assert [line.split()[0] for line in lines[:3]] == [run[:13] for run in reversed(known)]
    assert "completed" in lines[2]
    assert "everything" in lines[2]
    assert all(word in lines[1] for word in ("failed", "full_refresh=true", "batches B-1"))
    assert all(word in lines[0] for word in ("nothing_to_do", "curated marts"))
    assert lines[3] == f"{known[1][:13]}: RuntimeError: it broke [here]"
    found = json.loads(show(lake, "--limit", "2", "--format", "json").stdout)
    assert [run["run_id"] for run in found] == known[:0:-1]
    found = json.loads(show(lake, "--status", "failed", "--status", "killed", "--format", "json").stdout)
    assert [(run["run_id"], run["asked"]["batches"]) for run in found] == [(known[1], ["B-1"])]
    assert "No run is interrupted" in show(lake, "--status", "interrupted").stdout


def test_one_run_is_shown_with_its_nodes(lake: Lake) -> None:
    first, failed, newest = ids(lake)
    assert json.loads(show(lake, "show", "--format", "json").stdout)["run_id"] == newest
    text = show(lake, "show", failed).stdout
    assert all(word in text for word in (failed, "RuntimeError: it broke [here]", "build_overview", "duckdb 1.5.5"))
    found = json.loads(show(lake, "show", first[:20], "--format", "json").stdout)
    assert (found["run_id"], found["parameters"]["full_refresh"]) == (first, False)
    assert len(found["nodes"]) == 13
    assert {node["table"]: node["rows"] for node in found["nodes"]}["curated.dim_batch"] == 1
    assert sum(node["seconds"] for node in found["nodes"]) <= found["seconds"]
    for prefix, says in ((first[:3], "Several runs begin with"), ("nothing", "There is no run nothing")):
        done = show(lake, "show", prefix)
        assert done.exit_code == 2
        assert says in done.stderr


def test_where_there_is_no_lake_there_is_no_run(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake, "warehouse", tmp_path / "none" / "lake.duckdb")
    done = show(lake)
    assert (done.exit_code, done.stdout) == (0, "No run is recorded yet.\n")
    assert not (tmp_path / "none").exists()


def test_nobody_is_waited_for(lake: Lake) -> None:
    with held(lake) as pid:
        done = show(lake)
    assert done.exit_code == 4
    assert f"PID {pid}" in done.stderr
    assert done.stdout == ""
