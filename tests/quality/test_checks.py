"""How a suite is asked: by batch or by table, in one pass, and what becomes of questions that cannot be asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ibis
import psycopg
import pytest
from tests.quality.small_tables import NOW, Engine, Rows, at

from bioreactor_lake.datasets.verdicts import say
from bioreactor_lake.quality.checks import check_table
from bioreactor_lake.quality.suite import Suite, read_suites
from bioreactor_lake.quality.tags import Tag
from bioreactor_lake.quality.verdicts import Verdict, worst_failure

BETWEEN = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "value", "min_value": 0, "max_value": 14}}
GIVEN = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "value"}}
COUNT = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}
PER_TAG = {
    "type": "expect_column_values_to_be_between_per_tag", "kwargs": {"column": "value", "limits": "physical"},
}  # fmt: skip
AWKWARD = ["it's", 'a "b"', "x; DROP TABLE t", "ünï", "", "%s {batch} $1"]


@pytest.fixture(scope="module")
def duckdb() -> Engine:
    return Engine.duckdb()


@pytest.fixture(scope="module")
def postgres(server: str) -> Iterator[Engine]:
    engine = Engine.postgres(server)
    yield engine
    engine.backend.con.close()


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.getfixturevalue(request.param)


def suite_of(**expectations: Any) -> Suite:
    return read_suites({"readings": {"expectations": expectations}})["readings"]


def ask(engine: Engine, rows: Rows, /, **expectations: Any) -> list[Verdict]:
    return check_table(engine.table(rows), suite_of(**expectations), now=NOW)


def of_batches(*ids: str | None, **same: Any) -> Rows:
    return [{"batch_id": id_, **same} for id_ in ids]


def test_rows_are_judged_by_batch_and_tables_as_a_whole(engine: Engine) -> None:
    rows = [*of_batches("B-1", "B-1"), *of_batches("B-2", value=20), *of_batches("B-2")]
    verdicts = ask(engine, rows, between=BETWEEN, rows=COUNT)
    assert [(v.expectation_id, v.batch, v.success, v.rows, v.failing_rows) for v in verdicts] == [
        ("between", "B-1", True, 2, 0),
        ("between", "B-2", False, 2, 1),
        ("rows", None, True, None, None),
    ]
    assert [v.observed for v in verdicts] == [0.0, 0.5, 4]
    assert [row["value"] for row in verdicts[1].samples] == [20]
    assert verdicts[0].samples == ()
    assert worst_failure(verdicts) == "error"


def test_a_suite_may_say_what_verdicts_are_about(engine: Engine) -> None:
    rows = [*of_batches("B-1", value=20), *of_batches("B-2", "B-2", "B-2")]
    mostly = BETWEEN | {"kwargs": BETWEEN["kwargs"] | {"mostly": 0.75}}
    verdicts = ask(
        engine,
        rows,
        by_batch=mostly,
        of_table=mostly | {"meta": {"scope": "table"}},
        count=COUNT | {"kwargs": {"min_value": 2}, "meta": {"scope": "batch"}},
    )
    assert [(v.expectation_id, v.batch, v.success) for v in verdicts] == [
        ("by_batch", "B-1", False), ("by_batch", "B-2", True), ("of_table", None, True), ("count", "B-1", False),
        ("count", "B-2", True),
    ]  # fmt: skip


def test_named_batches_only_also_those_without_rows(engine: Engine) -> None:
    table = engine.table([*of_batches("B-1", value=20), *of_batches("B-2", "B-3")])
    suite = suite_of(between=BETWEEN, has_rows=COUNT | {"meta": {"scope": "batch"}}, all_rows=COUNT)
    verdicts = check_table(table, suite, batches=["B-2", "B-9"])
    assert [(v.expectation_id, v.batch, v.success, v.observed) for v in verdicts] == [
        ("between", "B-2", True, 0.0), ("between", "B-9", True, 0.0), ("has_rows", "B-2", True, 1),
        ("has_rows", "B-9", False, 0), ("all_rows", None, True, 3),
    ]  # fmt: skip


def test_values_are_unique_in_the_whole_table_whichever_batch_is_asked_about(engine: Engine) -> None:
    table = engine.table([*of_batches("B-1", "B-2", text="same"), *of_batches("B-2", text="other")])
    unique = {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "text"}}
    (verdict,) = check_table(table, suite_of(unique=unique), batches=["B-1"])
    assert (verdict.success, verdict.failing_rows, verdict.rows) == (False, 1, 1)
    assert verdict.samples[0]["text"] == "same"


def test_batch_ids_of_any_spelling(engine: Engine) -> None:
    table = engine.table(of_batches(*AWKWARD, value=20))
    keys = {"type": "expect_keys_to_be_in_one_file"}
    query = {"type": "unexpected_rows_expectation", "meta": {"scope": "batch"}}
    query["kwargs"] = {"unexpected_rows_query": "SELECT * FROM {batch} WHERE value > 14 AND '{{}}' = '{{}}'"}
    for batches in (None, AWKWARD):
        verdicts = check_table(table, suite_of(between=BETWEEN, keys=keys, query=query), batches=batches)
        assert {v.batch for v in verdicts if v.success} == {v.batch for v in verdicts if not v.success} == set(AWKWARD)
        assert all(v.samples[0]["batch_id"] == v.batch for v in verdicts if not v.success)


def test_rows_without_a_batch_are_judged_under_none(engine: Engine) -> None:
    given = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "batch_id"}}
    verdicts = ask(engine, of_batches("B-1", None), given=given)
    assert [(v.batch, v.success, v.failing_rows) for v in verdicts] == [(None, False, 1), ("B-1", True, 0)]
    assert len(verdicts[0].samples) == 1


def test_an_empty_table_meets_what_is_about_rows_and_nothing_else(engine: Engine) -> None:
    table = engine.table([])
    mean = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "value", "min_value": 0}}
    newest = {"type": "expect_newest_to_be_within", "kwargs": {"column": "ts", "hours": 1}}
    verdicts = check_table(table, suite_of(between=BETWEEN, rows=COUNT, mean=mean, newest=newest))
    assert [(v.expectation_id, v.success, v.observed) for v in verdicts] == [
        ("rows", False, 0), ("mean", False, None), ("newest", False, None),
    ]  # fmt: skip


def test_a_table_without_batches_has_verdicts_about_itself(engine: Engine) -> None:
    table = engine.table([{"value": 20}, {}], without=["batch_id"])
    verdicts = check_table(table, suite_of(between=BETWEEN, rows=COUNT), batches=["B-1"])
    assert [(v.batch, v.success) for v in verdicts] == [(None, False), (None, True)]
    assert verdicts[0].samples[0]["value"] == 20


def test_what_is_no_number_lies_within_no_range_and_makes_no_mean(engine: Engine) -> None:
    rows = [{"value": float(word)} for word in ("nan", "inf", "-inf", "7")] + [{"value": None}]
    mean = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "value", "min_value": -1e9}}
    table = engine.table(rows)
    tags = {"ph": Tag("ph", "", "", physical_max=14)}
    between, per_tag, of_all = check_table(table, suite_of(between=BETWEEN, per_tag=PER_TAG, mean=mean), tags=tags)
    assert (between.rows, between.failing_rows) == (4, 3)
    assert (per_tag.rows, per_tag.failing_rows) == (4, 2)  # there is no lower limit
    assert not of_all.success


def test_nulls_are_passed_over(engine: Engine) -> None:
    mostly = BETWEEN | {"kwargs": BETWEEN["kwargs"] | {"mostly": 0.5}}
    rows = [{"value": None}] * 8 + [{"value": 7}, {"value": 20}]
    (verdict,) = ask(engine, rows, mostly=mostly)
    assert (verdict.success, verdict.rows, verdict.failing_rows, verdict.observed) == (True, 2, 1, 0.5)
    (verdict,) = ask(engine, [*rows, {"value": 30}], mostly=mostly)
    assert not verdict.success


def test_a_condition_narrows_what_is_asked(engine: Engine) -> None:
    rows = [{"tag": "ph", "value": 7}, {"tag": "do", "value": 90}, {"tag": None, "value": 90}]
    only_ph = BETWEEN | {"row_condition": 'col("tag") == "ph"'}
    within = BETWEEN | {"kwargs": BETWEEN["kwargs"] | {"row_condition": "tag != 'ph'"}}
    verdicts = ask(engine, rows, only_ph=only_ph, within=within)
    assert [(v.success, v.rows, v.failing_rows) for v in verdicts] == [(True, 1, 0), (False, 1, 1)]
    assert verdicts[0].kwargs["row_condition"] == 'col("tag") == "ph"'


def test_unknown_tags_pass_and_are_named(engine: Engine) -> None:
    rows = [
        *of_batches("B-1", tag="ph"), *of_batches("B-2", "B-2", tag="redox", value=-1e6), *of_batches("B-2", tag="a'b"),
    ]  # fmt: skip
    verdicts = check_table(engine.table(rows), suite_of(limits=PER_TAG), tags={"ph": Tag("ph", "", "", 0, 14)})
    assert [(v.expectation_id, v.batch, v.success, v.severity, v.observed) for v in verdicts] == [
        ("limits", "B-1", True, "error", 0.0),
        ("limits", "B-2", True, "error", 0.0),
        ("limits.unknown_tags", "B-2", False, "warn", ["a'b", "redox"]),
    ]
    assert verdicts[2].failing_rows == 3


def test_a_tag_that_is_spelled_almost_like_a_known_one_is_told_so(engine: Engine) -> None:
    (_, notice) = check_table(
        engine.table([{"tag": "pH"}, {"tag": "Temprature"}, {"tag": "x"}]),
        suite_of(limits=PER_TAG),
        tags={name: Tag(name, "", "", 0, 14) for name in ("ph", "temperature")},
    )
    assert say(notice) == (
        "limits.unknown_tags: 3 rows are of tags that tags.yml does not list: Temprature (did you mean temperature?), "
        "pH (did you mean ph?), x"
    )


def test_keys_that_repeat_are_found_in_whichever_portion_they_are(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bioreactor_lake.quality.several_rows._COUNTED", 3)
    minutes = {"A": (0, 1), "B": (0, 1, 1, 1), "C": (0, 1), "D": (0, 1), "E": (0, 0, 2, 2)}
    rows = [{"batch_id": batch, "ts": at(minute)} for batch, several in minutes.items() for minute in several]
    unique = {
        "type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["batch_id", "tag", "ts"]},
        "severity": "warn",
    }  # fmt: skip
    verdicts = check_table(engine.table(rows), suite_of(unique=unique))
    assert {v.batch: v.failing_rows for v in verdicts} == {"A": 0, "B": 3, "C": 0, "D": 0, "E": 4}
    assert {v.batch for v in verdicts if not v.success} == {"B", "E"}


def test_there_are_no_more_samples_than_asked_for(engine: Engine) -> None:
    table = engine.table(of_batches(*["B-1"] * 9, *["B-2"] * 3, value=20))
    for limit, found in ((5, [5, 3]), (2, [2, 2]), (0, [0, 0])):
        assert [len(v.samples) for v in check_table(table, suite_of(it=BETWEEN), samples=limit)] == found


def test_one_query_measures_it_all(duckdb: Engine) -> None:
    table = duckdb.table([*of_batches("B-1", "B-2", "B-2")])
    lengths = {"type": "expect_column_value_lengths_to_equal", "kwargs": {"column": "text", "value": 2}}
    newest = {"type": "expect_newest_to_be_within", "kwargs": {"column": "ts", "hours": 24}}
    suite = suite_of(a=BETWEEN, b=GIVEN, c=lengths, d=COUNT, e=newest, f=PER_TAG)
    con = duckdb.backend.con
    con.execute("CALL enable_logging('QueryLog')")
    try:
        verdicts = check_table(table, suite, now=NOW, tags={"ph": Tag("ph", "", "", 0, 14)})
        con.execute("CALL disable_logging()")
        asked = con.execute("SELECT message FROM duckdb_logs WHERE type = 'QueryLog'").fetchall()
    finally:
        con.execute("CALL truncate_duckdb_logs()")
    assert all(verdict.success for verdict in verdicts)
    assert len([message for (message,) in asked if "SELECT" in message.upper()]) == 1, asked


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"kwargs": {"column": "valeu", "min_value": 0}}, "no column valeu; there is value"),
        ({"kwargs": {"column": "text", "min_value": 0}}, "cannot be compared with 0"),
        ({"kwargs": {"column": "ts", "min_value": 0}}, "holds times"),
        ({"row_condition": "n == 'x'"}, "cannot be compared with 'x'"),
        ({"row_condition": "nn == 1"}, "no column nn"),
        ({"type": "expect_column_values_to_match_regex", "kwargs": {"column": "text", "regex": r"\p{Nonsense}"}}, ""),
        ({"type": "expect_column_values_to_match_regex", "kwargs": {"column": "n", "regex": "a"}}, "only text"),
        ({"type": "expect_column_mean_to_be_between", "kwargs": {"column": "text"}}, "no number"),
        ({"type": "expect_newest_to_be_within", "kwargs": {"column": "n", "hours": 1}}, "no time"),
        (
            {"type": "expect_table_row_count_to_equal_other_table", "kwargs": {"other_table_name": "gone"}},
            "There is no table gone",
        ),
        (
            {"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": "SELECT nn FROM {batch}"}},
            "nn",
        ),
    ],
)
def test_what_cannot_be_asked_fails_alone(engine: Engine, asked: dict[str, Any], said: str) -> None:
    verdicts = ask(engine, [*of_batches("B-1", "B-2")], first=GIVEN, odd={**BETWEEN, **asked}, last=BETWEEN)
    (odd,) = (verdict for verdict in verdicts if verdict.expectation_id == "odd")
    assert (odd.batch, odd.success, odd.severity, odd.rows) == (None, False, "error", None)
    assert odd.error
    assert said in odd.error
    assert [verdict.success for verdict in verdicts if verdict is not odd] == [True] * 4


def test_a_statistic_that_aborts_takes_no_other_with_it(duckdb: Engine) -> None:
    deviation = {"type": "expect_column_stdev_to_be_between", "kwargs": {"column": "value", "min_value": 0}}
    verdicts = ask(duckdb, [{"value": 1e308}, {"value": -1e308}, {"value": 7}], deviation=deviation, given=GIVEN)
    assert [(v.success, bool(v.error)) for v in verdicts] == [(False, True), (True, False)]
    assert "out of range" in verdicts[0].error.lower()


def test_a_transaction_of_postgres_goes_on(server: str, postgres: Engine) -> None:
    name = postgres.table([{}]).op().name
    with psycopg.connect(server) as connection:
        connection.execute(f"INSERT INTO {name} (batch_id, value) VALUES ('B-2', 20)")
        table = ibis.postgres.from_connection(connection).table(name, database="public")
        query = {"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": "SELECT 1/0 FROM {batch}"}}
        verdicts = check_table(table, suite_of(wrong=query, between=BETWEEN))
        assert [(v.batch, v.success) for v in verdicts] == [(None, False), ("B-1", True), ("B-2", False)]
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        # What was written before is still to be rolled back, or kept.
        assert connection.execute(f"SELECT count(*) FROM {name}").fetchone() == (2,)
        connection.rollback()
        assert connection.execute(f"SELECT count(*) FROM {name}").fetchone() == (1,)


def test_a_table_that_cannot_be_read_is_no_verdict(server: str) -> None:
    engine = Engine.postgres(server)
    table = engine.table([{}])
    engine.backend.con.close()
    with pytest.raises(psycopg.OperationalError):
        check_table(table, suite_of(between=BETWEEN))


def test_tables_of_two_engines_are_compared(duckdb: Engine, postgres: Engine) -> None:
    rows = [*of_batches("B-1", "B-1", "B-2")]
    same = {
        "type": "expect_totals_to_equal_other_table", "kwargs": {"other_table_name": "other"},
        "meta": {"scope": "batch"},
    }  # fmt: skip
    known = {
        "type": "expect_column_values_to_exist_in_other_table",
        "kwargs": {"column": "batch_id", "other_table_name": "other"},
    }
    table, suite = postgres.table(rows), suite_of(same=same, known=known)
    assert all(verdict.success for verdict in check_table(table, suite, tables={"other": duckdb.table(rows)}))
    other = duckdb.table([*of_batches("B-1", "B-1", "B-1", "B-3")])
    verdicts = check_table(table, suite, tables={"other": other})
    assert [(v.expectation_id, v.batch, v.observed) for v in verdicts if not v.success] == [
        ("same", "B-1", {"self": 2, "other": 3}), ("same", "B-2", {"self": 1, "other": 0}),
        ("same", "B-3", {"self": 0, "other": 1}), ("known", "B-2", 1.0),
    ]  # fmt: skip
    narrowed = check_table(table, suite, tables={"other": other}, batches=["B-2"])
    assert {verdict.batch for verdict in narrowed} == {"B-2"}
