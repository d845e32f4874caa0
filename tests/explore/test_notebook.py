"""The notebooks on the sample: they run from their own folder, draw, and neither wait for runs nor hold them up."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from nbclient import NotebookClient
from project_copy import PROJECT, Lake, Viz, executed

NOTEBOOKS = sorted(path.stem for path in PROJECT.glob("notebooks/*.ipynb"))
OTHERS = [name for name in NOTEBOOKS if name != "first_look"]
FIGURE = "application/vnd.plotly.v1+json"
# How often each is executed while runs go on; BIOREACTOR_LAKE_NOTEBOOK_ROUNDS=20 is what was done by hand.
ROUNDS = int(os.environ.get("BIOREACTOR_LAKE_NOTEBOOK_ROUNDS", "1"))
FIGURES = {"one_batch": 3, "comparing_batches": 4, "quality_and_lineage": 3}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_outputs_are_stored(name: str) -> None:
    cells = json.loads((PROJECT / f"notebooks/{name}.ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert any("%load_ext kedro.ipython" in "".join(cell["source"]) for cell in code)
    for cell in code:
        ast.parse("".join(line for line in cell["source"] if not line.startswith("%")))


def outputs(notebook: NotebookClient) -> list[dict[str, Any]]:
    return [output for cell in notebook.nb.cells for output in cell.get("outputs", [])]


def shown(notebook: NotebookClient, kind: str) -> list[Any]:
    return [output["data"][kind] for output in outputs(notebook) if kind in output.get("data", {})]


@pytest.mark.slow
def test_every_cell_runs_and_answers(notebook: NotebookClient) -> None:
    assert not [output for output in outputs(notebook) if output["output_type"] == "error"]
    tables = [page for page in shown(notebook, "text/html") if "<table" in page]
    assert len(tables) == 4
    assert all("B-0006" in table or "temperature" in table for table in tables)


@pytest.mark.slow
def test_figures_name_batch_units_and_time_zone(notebook: NotebookClient) -> None:
    one, several = shown(notebook, FIGURE)
    assert [trace["name"] for trace in one["data"]] == ["vcd", "glucose", "lactate", "do", "ph", "temperature"]
    assert all(len(trace["x"]) for trace in one["data"] + several["data"])
    titles = json.dumps(one["layout"], ensure_ascii=False)
    assert all(text in titles for text in ("B-0006", "UTC", "hours", "°C", "10^6 cells/mL"))
    assert [trace["name"] for trace in several["data"]] == [f"B-000{number}" for number in range(1, 7)]


@pytest.mark.slow
def test_a_run_works_while_notebook_and_viz_are_open(notebook: NotebookClient, viz: Viz, lake: Lake) -> None:
    viz.all_answers()
    assert "Waiting" not in lake.kedro("run")
    assert len(viz.node("dim_batch")["preview"]["data"]) == 5


@pytest.mark.slow
def test_no_output_holds_the_password(notebook: NotebookClient, lake: Lake) -> None:
    assert lake.password not in json.dumps(outputs(notebook))


@contextmanager
def runs_going_on(lake: Lake) -> Iterator[list[str]]:
    """Runs that write every table anew, one after the other; what each said."""
    said: list[str] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            command = [*lake.command("run"), "--params", "full_refresh=true"]
            done = subprocess.run(
                command, cwd=lake.folder, env=lake.environment, capture_output=True, text=True, check=False
            )
            said.append(f"{done.returncode} {done.stdout}{done.stderr}")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield said
    finally:
        stop.set()
        thread.join()


@pytest.mark.nightly
@pytest.mark.slow
def test_notebooks_and_runs_do_not_meet(lake: Lake) -> None:
    """Neither waits for the other, and what notebooks show is whole; that they are executed at all is shown as well."""
    with runs_going_on(lake) as runs:
        for _ in range(ROUNDS):
            for name in OTHERS:
                before = len(runs)
                with executed(lake, name) as notebook:
                    check(name, notebook, lake)
                    while len(runs) == before and ROUNDS > 1:  # a run has begun and ended while it was open
                        threading.Event().wait(0.1)
    assert len(runs) >= ROUNDS
    for said in runs:
        assert said.startswith("0 "), said
        assert "Waiting" not in said


def check(name: str, notebook: NotebookClient, lake: Lake) -> None:
    assert not [output for output in outputs(notebook) if output["output_type"] == "error"]
    assert lake.password not in json.dumps(outputs(notebook))
    figures = shown(notebook, FIGURE)
    assert len(figures) == FIGURES[name]
    for figure in figures:
        assert_is_legible(figure)
    tables = "".join(page for page in shown(notebook, "text/html") if "<table" in page)
    assert tables.count("<table") >= 1
    assert "B-0006" in tables
    if name == "quality_and_lineage":
        assert "raw.parquet_" in tables
        assert re.search(r"completed|nothing_to_do", tables)


def assert_is_legible(figure: dict[str, Any]) -> None:
    """It has a title, its axes say what they are, in a unit or a zone, and lines differ by more than their colour."""
    layout = json.dumps(figure["layout"], ensure_ascii=False)
    assert figure["layout"]["title"]["text"]
    kinds = {trace["type"] for trace in figure["data"]}
    if kinds == {"sankey"}:
        return
    axes = re.findall(r'"text": "([^"]+)"', layout)
    known = ("hours", "UTC", "batch", "site", "expectations", "cells/mL")
    assert any(word in " ".join(axes) for word in known), axes
    if kinds == {"scatter"}:
        assert re.search(r"g/L|%|10\^6|°C|1/d", " ".join(axes)), axes
