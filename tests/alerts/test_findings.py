"""What is told of an error: all that helps, and no value of the data."""

from __future__ import annotations

import duckdb
import psycopg
import pytest

from bioreactor_lake.alerts.findings import describe_failure
from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres.database import Database


def raised(statement: str) -> duckdb.Error:
    with pytest.raises(duckdb.Error) as caught, duckdb.connect() as connection:
        connection.execute(statement)
    return caught.value


def wrapped(error: Exception, what: str) -> LakeError:
    known = LakeError(what, kept="It is as it was.", next_step="Run again.")
    known.__cause__ = error
    return known


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("SELECT CAST('batch-secret-17.3' AS DOUBLE)", "17.3"),
        ("CREATE TABLE t (b VARCHAR PRIMARY KEY); INSERT INTO t VALUES ('B-SECRET'), ('B-SECRET')", "B-SECRET"),
        ("SELECT error('the reading 17.3 is odd')", "17.3"),
    ],
)
def test_values_in_what_duckdb_says_are_told_only_in_full(statement: str, value: str) -> None:
    error = raised(statement)
    assert value in str(error)
    known = wrapped(error, f"Writing curated.dim_batch failed: {error}")
    finding = describe_failure("curated.dim_batch", known, known)
    assert value not in finding.why
    assert finding.why.startswith("Writing curated.dim_batch failed: duckdb.")
    assert value in finding.in_full
    assert (finding.kept, finding.next_step) == ("It is as it was.", "Run again.")


def test_what_is_about_files_and_machines_is_told(tmp_path) -> None:
    error = raised(f"SELECT * FROM read_parquet('{tmp_path}/gone.parquet')")
    known = wrapped(error, f"Writing curated.dim_batch failed: {error}")
    assert "gone.parquet" in describe_failure("curated.dim_batch", known, known).why


def test_values_in_what_postgres_says_are_told_only_in_full(server: str) -> None:
    def insert(connection: psycopg.Connection) -> None:
        connection.execute("CREATE TEMP TABLE t (b text UNIQUE)")
        connection.execute("INSERT INTO t VALUES ('B-SECRET'), ('B-SECRET')")

    with pytest.raises(LakeError) as caught:
        Database({}, server).attempt(insert, what="Publishing marts.t", kept="")
    finding = describe_failure("marts.t", caught.value, caught.value)
    assert "B-SECRET" not in finding.why + finding.in_full
    assert finding.why.endswith("failed: psycopg.UniqueViolation (23505).")
    with pytest.raises(LakeError) as caught:
        Database({}, server).attempt(lambda c: c.execute("SELECT 'x17.3'::float"), what="Publishing marts.t", kept="")
    finding = describe_failure("marts.t", caught.value, caught.value)
    assert "17.3" in finding.in_full
    assert "17.3" not in finding.why


def test_an_error_that_the_lake_does_not_know_is_named_and_not_quoted() -> None:
    finding = describe_failure("the run", None, ValueError("the reading 17.3 is odd"))
    assert finding.why == "ValueError, which the lake does not know"
    assert finding.in_full == "ValueError: the reading 17.3 is odd"


def test_an_error_that_says_itself_what_holds_no_values_is_told_so() -> None:
    known = LakeError("staging.stg_bioreactor fails: ph: no number: 'B-17.3'", plain="staging.stg_bioreactor fails: ph")
    finding = describe_failure("staging.stg_bioreactor", known, known)
    assert finding.why == "staging.stg_bioreactor fails: ph"
    assert "17.3" in finding.in_full
