"""Each type of expectation, on rows that just meet it and on rows that just do not, in DuckDB and in Postgres."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.quality.expectation_cases import CASES, Case
from tests.quality.small_tables import NOW, Engine, Rows

from bioreactor_lake.quality.checks import QUESTIONS, check_table
from bioreactor_lake.quality.suite import read_suites
from bioreactor_lake.quality.tags import Tag
from bioreactor_lake.quality.verdicts import Verdict
from bioreactor_lake.quality.vocabulary import VOCABULARY

TAGS = {
    "ph": Tag("ph", "Acidity", "pH", 0, 14, 6.8, 7.2),
    "do": Tag("do", "Dissolved oxygen", "%", 0, 500, 20, 80, units=("% sat",)),
    "free": Tag("free", "Without limits", "1"),
}


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "duckdb":
        yield Engine.duckdb()
        return
    engine = Engine.postgres(request.getfixturevalue("server"))
    yield engine
    engine.backend.con.close()


def ask(engine: Engine, case: Case, rows: Rows, **of_table: object) -> list[Verdict]:
    suite = read_suites(
        {"readings": {"expectations": {"it": {"type": case.type, "kwargs": case.kwargs, "meta": case.meta}}}}
    )
    return check_table(
        engine.table(rows, **of_table),
        suite["readings"],
        tables={"other": engine.table(case.other)} if case.other else {},
        tags=TAGS,
        equipment=["R-1", "R-2"],
        now=NOW,
    )


def test_every_type_is_tried_and_can_be_asked() -> None:
    assert {case.type for case in CASES} == set(VOCABULARY) == set(QUESTIONS)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rows_that_just_pass(engine: Engine, case: Case) -> None:
    verdicts = ask(engine, case, case.passes)
    assert verdicts or VOCABULARY[case.type].scope == "batch"
    assert [(verdict.error, verdict.observed) for verdict in verdicts if not verdict.success] == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rows_that_just_fail(engine: Engine, case: Case) -> None:
    of_table = {} if case.fails else {"without": ["tag"], "value": "BIGINT"}
    failed = [verdict for verdict in ask(engine, case, case.fails, **of_table) if not verdict.success]
    assert failed
    assert [verdict.error for verdict in failed if verdict.error] == []
    if case.failing is not None:
        assert sum(verdict.failing_rows or 0 for verdict in failed) == case.failing
        assert all(verdict.samples for verdict in failed)
        assert all(len(verdict.samples) == min(verdict.failing_rows or 0, 5) for verdict in failed)
