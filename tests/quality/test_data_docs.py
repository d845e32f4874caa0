"""Great Expectations itself, asked the same of the same tables, finds the same."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project
from tests.increments.lake import PROJECT, Lake, environment
from tests.quality.expectation_cases import CASES, Case
from tests.quality.small_tables import NOW, Engine
from tests.quality.test_check_command import asked, put
from tests.quality.test_expectation_types import TAGS

from bioreactor_lake.cli.data_docs import data_docs
from bioreactor_lake.data_docs.site import Answer, ask_great_expectations
from bioreactor_lake.data_docs.translation import translate_suite
from bioreactor_lake.quality.checks import check_table
from bioreactor_lake.quality.suite import read_suites
from bioreactor_lake.quality.verdicts import Verdict

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("great_expectations") is None, reason="needs the extra gx: pip install -e '.[gx]'"
    ),
]


def count_failing(verdicts: Sequence[Verdict]) -> int | None:
    """How many rows fail, of totals how many batches do, of sets of values how many values are in none."""
    failed = [one for one in verdicts if not one.success]
    if verdicts and "totals_to_equal" in verdicts[0].type:
        return len(failed)
    if verdicts and isinstance(verdicts[0].observed, dict) and "unexpected_values" in verdicts[0].observed:
        return sum(one.observed["unexpected_values"] for one in verdicts)
    rows = [one.failing_rows for one in verdicts if one.failing_rows is not None]
    return sum(rows) if rows else None


def assert_same(mine: Sequence[Verdict], theirs: Answer, what: str, *, counted: bool = True) -> None:
    assert theirs.error == "", f"{what}: {theirs.error}"
    assert theirs.success == all(one.success for one in mine), what
    if counted and (count := count_failing(mine)) is not None:
        assert theirs.unexpected == count, what


def has_nan(case: Case) -> bool:
    return any(isinstance(value, float) and isnan(value) for row in case.fails for value in row.values())


@pytest.mark.nightly
def test_every_type_on_rows_that_just_pass_and_just_fail(server: str) -> None:
    engine = Engine.postgres(server)
    suites: dict[str, Any] = {}
    places: dict[str, tuple[str, str]] = {}
    mine: dict[str, tuple[Case, list[Verdict]]] = {}
    for number, case in enumerate(CASES):
        for which, rows in (("passes", case.passes), ("fails", case.fails)):
            of_table = {} if case.fails or which == "passes" else {"without": ["tag"], "value": "BIGINT"}
            table = engine.table(rows, **of_table)
            name = f"{number} {which}"
            said = {"it": {"type": case.type, "kwargs": case.kwargs, "meta": case.meta}}
            suite = read_suites({name: {"expectations": said}})[name]
            known: dict[str, Any] = {
                "tables": {"other": engine.table(case.other)} if case.other else {},
                "tags": TAGS,
                "equipment": ("R-1", "R-2"),
            }
            suites[name] = translate_suite(suite, table, **known, now=NOW)
            places[name] = ("public", table.op().name)
            mine[name] = case, check_table(table, suite, **known, now=NOW)
    engine.backend.con.close()
    theirs = ask_great_expectations(suites, places, server, None)
    assert len(theirs) == 2 * len(CASES)
    for answer in theirs:
        case, verdicts = mine[answer.table]
        if "mostly" in case.kwargs and "creasing" in case.type:
            # Order is asked of SQL by a query, to which there is no mostly: it says so.
            assert not answer.success
            assert "no mostly" in answer.error
            continue
        # NaN lies within no range, where SQL has it above every number.
        assert_same(verdicts, answer, f"{answer.table}: {case}", counted=not has_nan(case))


@pytest.mark.parametrize(
    "condition",
    [
        'tag == "ph" and value > 7',
        'not (tag == "ph" and value > 7)',
        'not (tag in ["ph", "do"]) or value.isnull()',
        {"type": "nullity", "column": {"name": "value"}, "is_null": False},
        "value <= n",
    ],
)
def test_row_conditions(server: str, condition: Any) -> None:
    engine = Engine.postgres(server)
    table = engine.table(
        [{"tag": tag, "value": value} for tag in ("ph", "do", "x", None) for value in (6.0, 7.0, 8.0, None)]
    )
    kwargs = {"column": "value", "min_value": 7.5, "row_condition": condition}
    said = {"it": {"type": "expect_column_values_to_be_between", "kwargs": kwargs}}
    suite = read_suites({"readings": {"expectations": said}})["readings"]
    translated = translate_suite(suite, table, tables={}, tags={}, equipment=())
    verdicts = check_table(table, suite)
    engine.backend.con.close()
    (answer,) = ask_great_expectations(
        {"readings": translated}, {"readings": ("public", table.op().name)}, server, None
    )
    if condition == "value <= n":
        assert "compares no column with a column" in answer.error
        assert not answer.success
    else:
        assert_same(verdicts, answer, str(condition))


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", server)
    for number in range(1, 5):
        put(lake, f"B-{number}", 7.0, 7.1)
    lake.run()
    yield lake
    lake.drop()


def data_docs_of(lake: Lake, folder: Path) -> tuple[int, dict[tuple[str, str], Answer]]:
    with environment(lake):
        bootstrap_project(PROJECT)
        result = CliRunner().invoke(data_docs, ["--out", str(folder), "--format", "json"])
    answers = [Answer(**said) for said in json.loads(result.stdout[result.stdout.index("[\n") :])]
    return result.exit_code, {(answer.table, answer.expectation): answer for answer in answers}


def verdicts_of(lake: Lake) -> dict[tuple[str, str], list[Verdict]]:
    found: dict[tuple[str, str], list[Verdict]] = {}
    said = asked(lake, "mart_bioreactor_overview", "mart_bioreactor_timeline", "--format", "json").stdout
    for verdict in (Verdict(**one) for one in json.loads(said)):
        found.setdefault((verdict.table, verdict.expectation_id), []).append(verdict)
    # Tags that have no limits are named beside what the suite asks for.
    return {key: verdicts for key, verdicts in found.items() if not key[1].endswith(".unknown_tags")}


def test_the_marts_and_their_data_docs(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    code, theirs = data_docs_of(lake, folder)
    mine = verdicts_of(lake)
    assert code == 0
    assert mine.keys() == theirs.keys()
    for key, verdicts in mine.items():
        assert_same(verdicts, theirs[key], str(key))
    with psycopg.connect(lake.database) as connection:
        for change in (
            "DELETE FROM marts.mart_bioreactor_overview WHERE batch_id = 'B-2'",
            "UPDATE marts.mart_bioreactor_overview SET avg_value = 99 WHERE batch_id = 'B-3'",
            "UPDATE marts.mart_bioreactor_overview SET equipment_id = 'R-9', batch_start = NULL WHERE batch_id = 'B-4'",
            "UPDATE marts.mart_bioreactor_overview SET equipment_id = 'R-8' WHERE batch_id <> 'B-4'",
            "UPDATE marts.mart_bioreactor_timeline SET reading_count = 0, max_value = -1 WHERE batch_id = 'B-1'",
            "UPDATE marts.mart_bioreactor_timeline SET hours_since_start = -1 WHERE batch_id IN ('B-1', 'B-3')",
        ):
            connection.execute(change)
    code, theirs = data_docs_of(lake, folder)
    mine = verdicts_of(lake)
    assert code == 3
    assert mine.keys() == theirs.keys()
    failed = {key for key, answer in theirs.items() if not answer.success}
    assert len(failed) == 10
    for key, verdicts in mine.items():
        assert_same(verdicts, theirs[key], str(key))
    pages = [page.read_text() for page in folder.rglob("*.html")]
    assert len(pages) == 5  # the index, and of each mart what is expected and what was found
    assert any("expect_column_values_to_be_between_per_tag" in page and "99" in page for page in pages)
    password = lake.database.partition("@")[0].rpartition(":")[2]
    assert subprocess.run(["grep", "-rq", password, str(folder)], check=False).returncode == 1
    (folder / "mine.txt").write_text("of somebody")
    with environment(lake):
        result = CliRunner().invoke(data_docs, ["--out", str(folder)])
    assert result.exit_code == 2
    assert (folder / "index.html").exists()


def test_a_server_that_does_not_answer(lake: Lake, tmp_path: Path) -> None:
    database, lake.database = lake.database, "postgresql://lake:hunter2-secret@127.0.0.1:1/lake"
    with environment(lake):
        bootstrap_project(PROJECT)
        result = CliRunner().invoke(data_docs, ["--out", str(tmp_path / "docs")])
    lake.database = database
    assert result.exit_code == 1
    assert "127.0.0.1:1/lake" in result.output
    assert "hunter2" not in result.output
