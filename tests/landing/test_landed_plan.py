"""A plan foretells what a run would make of landed files, and does none of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline
from tests.landing.landed_lake import PROJECT, LandedLake, rows

from bioreactor_lake.cli.plan import say_plan
from bioreactor_lake.datasets.planning import plan_run


def plan(lake: LandedLake, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What `kedro lake plan` says, with the configuration of this lake and all tables but the marts."""
    with lake.configured():
        bootstrap_project(PROJECT)
        with KedroSession.create(PROJECT, conf_source=str(lake.conf), save_on_close=False) as session:
            names = ("ingestion", "staging", "curated")
            planned = plan_run(session.load_context().catalog, sum((pipelines[name] for name in names), Pipeline([])))
        capsys.readouterr()
        say_plan(planned)
    return capsys.readouterr().out.splitlines()


@pytest.mark.slow
def test_a_plan_names_landed_files_and_the_batches_that_follow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = LandedLake(tmp_path / "lake")
    lake.put("mine/a.csv", rows(("A", 0, "ph", 7)))
    lake.put("mine/c.csv", rows(("C", 0, "ph", 7)))
    lake.run("ingestion", "staging", "curated")
    lake.put("mine/a.csv", rows(("A", 0, "ph", 8), ("D", 0, "ph", 8)))
    lake.put("mine/b.csv", rows(("B", 0, "ph", 6)))
    lake.put("mine/bad.csv", "no,table\n")
    (lake.landing / "mine" / "c.csv").unlink()
    before = lake.raw_hashes(), lake.ledger(), lake.files(), sorted(lake.folder.rglob("*"))
    said = plan(lake, capsys)
    reader = lake.files()["mine/a.csv"]["reader"]
    assert f"landed file mine/a.csv: changed, read by {reader}; batches A, D" in said
    assert f"landed file mine/b.csv: new, read by {reader}; batches B" in said
    assert "landed file mine/c.csv: missing, its rows stay" in said
    assert any(line.startswith("landed file mine/bad.csv: quarantined: ") for line in said)
    at = said.index("curated.dim_batch: 3 batches")
    assert said[at + 1 : at + 3] == ["  A: landed file mine/a.csv: changed", "  B: landed file mine/b.csv: new"]
    assert (lake.raw_hashes(), lake.ledger(), lake.files(), sorted(lake.folder.rglob("*"))) == before
    lake.run("ingestion", "staging", "curated")
    assert lake.query("SELECT batch_id FROM curated.dim_batch ORDER BY 1") == [("A",), ("B",), ("C",), ("D",)]
    said = plan(lake, capsys)
    assert not any(line.startswith("landed file mine/a.csv") for line in said)
    assert "curated.dim_batch: up to date" in said
