"""The notebook on the sample: it runs from its own folder, draws, and lets the warehouse go."""

import json
from typing import Any

import pytest
from nbclient import NotebookClient
from project_copy import PROJECT, Lake, Viz

NOTEBOOKS = sorted(path.relative_to(PROJECT).as_posix() for path in PROJECT.glob("notebooks/*.ipynb"))
FIGURE = "application/vnd.plotly.v1+json"


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_no_outputs_are_stored(path: str) -> None:
    cells = json.loads((PROJECT / path).read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def outputs(notebook: NotebookClient) -> list[dict[str, Any]]:
    return [output for cell in notebook.nb.cells for output in cell.get("outputs", [])]


def shown(notebook: NotebookClient, kind: str) -> list[Any]:
    return [output["data"][kind] for output in outputs(notebook) if kind in output.get("data", {})]


def test_every_cell_runs_and_answers(notebook: NotebookClient) -> None:
    assert not [output for output in outputs(notebook) if output["output_type"] == "error"]
    tables = [page for page in shown(notebook, "text/html") if "<table" in page]
    assert len(tables) == 4
    assert all("B-0006" in table or "temperature" in table for table in tables)


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


def test_no_output_holds_the_password(notebook: NotebookClient, lake: Lake) -> None:
    assert lake.password not in json.dumps(outputs(notebook))
