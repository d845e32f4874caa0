"""docs/extending.md, to the letter: its files and commands, in their order, in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_readme import carry_out

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "extending.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    copy = tmp_path / "project"
    tracked = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in tracked.splitlines():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, copy / name)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("BIOREACTOR_LAKE", "OPENLINEAGE"))
    }
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "DO_NOT_TRACK": "1"}
    environment |= {"PYTHONPATH": str(copy / "src")}
    said: dict[str, str] = {}
    for kind, file, text in BLOCKS:
        if kind == "csv":
            (copy / file).write_text(text)
            continue
        for command in text.strip().splitlines():
            outcome = carry_out(command, copy, environment)
            assert outcome.returncode == 0, f"{command}\n{outcome.stdout}\n{outcome.stderr}"
            said[command] = said.get(command, "") + outcome.stdout
    for path in re.findall(r"`((?:conf|src|tests)/[^`*<>]*)`", PAGE):
        assert (copy / path).exists(), path
    assert len(said) > 8

    def of(start: str) -> str:
        return next(text for command, text in said.items() if command.startswith(start))

    assert "0 rejected" in of("kedro lake profile")
    assert re.search(r"7\W+2025-03-01 07:00:00", of("duckdb"))  # at eight in Zurich
    assert re.findall(r"BR-\d .*", of("kedro lake psql")) == [
        " BR-7     | V1           |         2 |             6"[1:],
        " BR-8     | V2           |         1 |             1"[1:],
    ]
    assert "fact_bioreactor_batch_stats.reading_count" in of("kedro lake trace")
    # What is new of the source is all that a run works on, the new mart and its view included.
    more = (copy / "brew.csv").read_text().replace("BR-7", "BR-9").replace("BR-8", "BR-9")
    (copy / "more.csv").write_text(more)
    for command in ("kedro lake land more.csv --source brew", "kedro run"):
        outcome = carry_out(command, copy, environment)
        assert outcome.returncode == 0, outcome.stderr
    assert re.search(r"marts\.mart_effort: 2 rows of 1 batches", outcome.stdout), outcome.stdout
    events = (copy / "data" / "lineage" / "events.jsonl").read_text()
    assert "marts.mart_effort" in events
    assert "staging.stg_brew" in events
