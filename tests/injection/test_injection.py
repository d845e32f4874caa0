"""Whatever stands in batch ids, tags, file names, parameters and arguments: it is text, and changes nothing else.

How such text is read in one full build is tested in `tests/truth`; here it is in the way of what deletes and replaces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.increments.lake import Lake, readings

from bioreactor_lake.errors import UsageError, find_lake_error
from bioreactor_lake.postgres.database import Database
from bioreactor_lake.sql import literal, quote

ATTACKS = (
    "x'; DROP TABLE marts.mart_bioreactor_overview; --",
    "x'); DROP SCHEMA curated CASCADE; --",
    '"; DROP TABLE curated.dim_batch; --',
    "\\'; DELETE FROM public.witness; --",
    "$$; DROP TABLE public.witness; $$",
    "plain' OR 'a'='a",
    "x' UNION SELECT * FROM public.witness --",
    "%(batches)s %s %% {0} {batch} $1 :batch",
    "${oc.env:HOME} ${globals:warehouse.filepath}",
    "*",
    "**/*.parquet",
    "pl[a-z]in",
    "{plain,other}",
    "?????",
    "two\nlines'; DROP TABLE public.witness; --",
    "/* */ -- ;",
    "read_text('/etc/passwd')",
    "../../etc/passwd",
    "NULL",
    "B'); COPY public.witness TO PROGRAM 'touch owned'; --",
)
WITNESS = ("public.witness", "marts.witness")


@dataclass
class Watched:
    lake: Lake

    def objects(self) -> dict[str, list[tuple]]:
        """Everything that has a name in the warehouse and in the database, and the rows of what is not the lake's."""
        with self.lake.open_warehouse() as connection:
            found = {
                "warehouse": connection.execute(
                    "SELECT table_schema, regexp_replace(table_name, '^parquet_.*', 'parquet_'), table_type FROM "
                    "information_schema.tables WHERE table_schema <> 'lake_state' GROUP BY ALL ORDER BY ALL"
                ).fetchall()
            }
        with psycopg.connect(self.lake.database) as connection:
            found["database"] = connection.execute(
                "SELECT nspname, regexp_replace(relname, '_[12]($|_)', '_'), relkind FROM pg_class JOIN pg_namespace "
                "AS n ON n.oid = relnamespace WHERE nspname IN ('public', 'marts', 'lake') GROUP BY 1, 2, 3 "
                "ORDER BY 1, 2, 3"
            ).fetchall()
            found["roles"] = connection.execute("SELECT rolname, rolsuper FROM pg_roles ORDER BY 1").fetchall()
            for table in WITNESS:
                found[table] = connection.execute(f"SELECT * FROM {table}").fetchall()
        return found


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, server: str) -> Iterator[Watched]:
    lake = Lake(tmp_path_factory.mktemp("injection") / 'it\'s a "lake"; --', server)
    lake.put("plain.parquet", readings("plain", 1))
    with psycopg.connect(lake.database) as connection:
        connection.execute("CREATE SCHEMA marts")
        for table in WITNESS:
            connection.execute(f"CREATE TABLE {table} (a text)")
            connection.execute(f"INSERT INTO {table} VALUES ('untouched')")
    lake.checkpoints = True
    lake.run()
    yield Watched(lake)
    lake.drop()


def rows_of(attack: str, count: int) -> list[tuple]:
    start = datetime(2026, 1, 1)
    return [(attack, attack, attack, start + timedelta(minutes=i), float(i)) for i in range(count)]


def put(lake: Lake, attack: str, count: int) -> Path:
    return lake.put(f"{attack.replace('/', '|')}.parquet", rows_of(attack, count))


@pytest.mark.slow
def test_names_that_are_sql_are_written_replaced_and_deleted_like_others(watched: Watched) -> None:
    lake, before = watched.lake, watched.objects()
    for count in (3, 5):  # new ones, then others in their place, then some of them again and some gone
        for attack in ATTACKS:
            put(lake, attack, count)
        run = lake.run()
        assert not run.held
        assert watched.objects() == before
    lake.assert_equals_fresh_build()
    for attack in ATTACKS[::2]:
        put(lake, attack, 4)
    run = lake.run_batches(*ATTACKS[::2])
    assert {write.batches for write in run.writes if write.table == "curated.dim_batch"} == {len(ATTACKS[::2])}
    assert watched.objects() == before
    for attack in ATTACKS[1::2]:
        put(lake, attack, 1).unlink()
    lake.run(allow_removal=True, full_refresh=False)
    lake.assert_equals_fresh_build()
    found = {batch for (batch,) in lake.tables()["curated.dim_batch"][["batch_id"]].itertuples(index=False)}
    assert found == {"plain", *ATTACKS[::2]}
    assert watched.objects() == before


@pytest.mark.slow
def test_parameters_that_are_sql_leave_out_what_they_name_and_nothing_else(watched: Watched) -> None:
    lake = watched.lake
    for attack in ATTACKS:
        put(lake, attack, 2)
    lake.run()
    before, whole = watched.objects(), lake.marts()["mart_bioreactor_overview"]
    overview = {"min_readings": 1, "max_null_fraction": 1.0, "excluded_tags": list(ATTACKS[:8])}
    lake.run("marts", overview=overview)
    left = set(lake.marts()["mart_bioreactor_overview"].tag)
    assert left == set(whole.tag) - set(ATTACKS[:8])
    assert watched.objects() == before


@pytest.mark.parametrize("attack", ["nobody' OR 'a'='a", "'; DROP TABLE curated.dim_batch; --", "${oc.env:HOME}", "*"])
def test_batches_that_a_run_names_are_looked_up_and_not_executed(watched: Watched, attack: str) -> None:
    before = watched.objects()
    if attack in ATTACKS:
        attack += "nobody"
    with pytest.raises(Exception, match="No accepted raw file holds") as raised:
        watched.lake.run_batches(attack)
    error = find_lake_error(raised.value)
    assert isinstance(error, UsageError)
    assert repr(attack) in error.what
    assert watched.objects() == before


@pytest.mark.slow
def test_arguments_of_commands_are_text(watched: Watched) -> None:
    lake, attack = watched.lake, ATTACKS[0]
    put(lake, attack, 3)
    lake.run()
    before = watched.objects()
    for arguments, code in (
        (("lake", "check", "stg_bioreactor", "--batch", attack), 0),
        (("lake", "trace", "dim_batch.site", "--batch", attack), 0),
        (("lake", "trace", f"dim_batch.{attack}"), 2),
        (("lake", "release", attack, "--reason", attack), 2),
        (("lake", "runs", "show", attack), 2),
    ):
        done = lake.run_command(*arguments)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        assert watched.objects() == before


any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
FAST = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def engines(server: str) -> Iterator[tuple[duckdb.DuckDBPyConnection, psycopg.Connection]]:
    name = f"quoting_{id(server)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        # The worst that an administrator can set.
        connection.execute(f"ALTER DATABASE {name} SET standard_conforming_strings = off")
    database = Database({"attempts": 1}, f"{server.rpartition('/')[0]}/{name}")
    with duckdb.connect() as local, database.connect() as remote:
        yield local, remote


@given(text=any_text)
@example(text="\\'; DROP TABLE x; --")
@example(text="''")
@FAST
def test_a_quoted_text_is_that_text_to_both_databases(engines, text: str) -> None:
    for engine in engines:
        assert engine.execute(f"SELECT {literal(text)}").fetchone() == (text,)


@given(name=any_text.filter(lambda text: 0 < len(text.encode()) < 60))
@example(name='"; DROP TABLE x; --')
@FAST
def test_a_quoted_name_is_that_name_to_both_databases(engines, name: str) -> None:
    for engine in engines:
        cursor = engine.execute(f"SELECT 1 AS {quote(name)}")
        assert [column[0] for column in cursor.description] == [name]
