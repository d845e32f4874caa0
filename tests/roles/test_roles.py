"""What lake_owner, lake_writer and lake_reader may do in Postgres, each in both directions, by real log-ins."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from tests.roles.governed import MART, ROWS, SNAPSHOT, Governed, rows_of
from tests.roles.other_servers import found_versions, running_server, version_of

from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres import data_quality, holdings, run_history, set_aside
from bioreactor_lake.postgres.database import Database
from bioreactor_lake.postgres.publishing import publish
from bioreactor_lake.postgres.roles import READER, WRITER, spell_roles


@pytest.fixture
def governed(server: str) -> Governed:
    made = Governed(server)
    made.apply()
    return made


@pytest.fixture(params=[pytest.param(one, marks=pytest.mark.slow) for one in found_versions()])
def other(request: pytest.FixtureRequest) -> Iterator[Governed]:
    with running_server(request.param) as url:
        assert version_of(url) >= 14
        yield Governed(url)


# What each may do; what is not said of a user here, he may not.
RIGHTS = {
    "SELECT * FROM marts.mart_test": {READER, WRITER},
    "SELECT * FROM marts.mart_run_history": {READER, WRITER},
    "SELECT * FROM marts.of_tomorrow": {READER, WRITER},
    "INSERT INTO marts.mart_test (batch_id) VALUES ('new')": {WRITER},
    "DELETE FROM marts.mart_test": {WRITER},
    "INSERT INTO marts.mart_run_history (run_id, node) VALUES ('1', '')": {WRITER},
    "SELECT * FROM marts.mart_data_quality": {READER, WRITER},
    "INSERT INTO marts.mart_data_quality (run_id) SELECT '1' WHERE false": {WRITER},
    "UPDATE marts.mart_data_quality SET is_current = false": {WRITER},
    "SELECT * FROM marts.mart_set_aside": {READER, WRITER},
    "INSERT INTO marts.mart_set_aside (kind, name) VALUES ('held batch', 'B')": {WRITER},
    "DELETE FROM marts.mart_set_aside": {WRITER},
    "CREATE TEMPORARY TABLE incoming (a int)": {WRITER},
    "SELECT * FROM lake.held": {WRITER},
    "INSERT INTO lake.held VALUES ('m', 'b', 'f', 1)": {WRITER},
    "DELETE FROM lake.held": {WRITER},
    "DELETE FROM lake.identity": {WRITER},
    "UPDATE lake.marts SET activity = ''": {WRITER},
    "SELECT * FROM lake.sources": {WRITER},
    "INSERT INTO lake.sources VALUES ('b', 'p')": {WRITER},
    "DELETE FROM lake.sources": {WRITER},
    "SELECT * FROM lake.releases": {WRITER},
    "INSERT INTO lake.releases (batch_id) SELECT 'b' WHERE false": {WRITER},
    "SELECT lake.make_beside('mart_test')": {WRITER},
    "SELECT lake.drop_beside('mart_test')": {WRITER},
    # Nobody:
    "UPDATE marts.mart_test SET version = 0": set(),
    "TRUNCATE marts.mart_test": set(),
    "DROP TABLE marts.mart_test": set(),
    "DROP TABLE lake.mart_test_1": set(),
    "DROP SCHEMA marts CASCADE": set(),
    "DROP SCHEMA lake CASCADE": set(),
    "ALTER TABLE marts.mart_test ADD COLUMN x int": set(),
    "ALTER TABLE marts.mart_test DETACH PARTITION lake.mart_test_1": set(),
    "ALTER TABLE marts.mart_test OWNER TO lake_writer": set(),
    "COMMENT ON TABLE marts.mart_test IS 'mine'": set(),
    "CREATE INDEX ON marts.mart_test (version)": set(),
    "CREATE TRIGGER t AFTER DELETE ON marts.mart_test EXECUTE FUNCTION tsvector_update_trigger()": set(),
    "CREATE TABLE marts.mine (a int)": set(),
    "CREATE VIEW marts.mine AS SELECT 1": set(),
    "CREATE TABLE lake.mine (a int)": set(),
    "CREATE FUNCTION lake.find_mart(x int) RETURNS int LANGUAGE sql AS 'SELECT 1'": set(),
    "CREATE TABLE public.mine (a int)": set(),
    "CREATE SCHEMA mine": set(),
    "CREATE ROLE mine": set(),
    "SET ROLE lake_owner": set(),
    "GRANT lake_owner TO lake_writer": set(),
    "GRANT SELECT ON marts.mart_test TO PUBLIC": None,  # a warning, and nothing is granted
    "SELECT * FROM lake.mart_test_1": set(),
    "INSERT INTO lake.mart_test_1 (batch_id) VALUES ('new')": set(),
    "UPDATE marts.mart_run_history SET status = 'completed'": set(),
    "DELETE FROM marts.mart_run_history": set(),
    "TRUNCATE marts.mart_data_quality": set(),
    "ALTER TABLE marts.mart_data_quality ADD COLUMN x int": set(),
    "UPDATE lake.held SET rows = 0": set(),
    "UPDATE lake.sources SET path = ''": set(),
    "UPDATE lake.releases SET batch_id = ''": set(),
    "DELETE FROM lake.releases": set(),  # what people have released is kept for ever
    "DELETE FROM lake.marts": set(),
    "COPY marts.mart_test TO '/tmp/stolen'": set(),
    "COPY marts.mart_test TO PROGRAM 'true'": set(),
    "SELECT lake.find_mart('mart_test')": set(),
}


def check_rights(governed: Governed) -> None:
    governed.apply()
    with psycopg.connect(governed.admin) as connection:
        connection.execute("SET ROLE lake_owner; CREATE TABLE marts.of_tomorrow (a int)")
    found = {
        statement: {user for user in (WRITER, READER) if governed.may(user, statement)}
        for statement, expected in RIGHTS.items()
        if expected is not None
    }
    assert found == {statement: expected for statement, expected in RIGHTS.items() if expected is not None}
    for user in (WRITER, READER):
        governed.may(user, "GRANT SELECT ON marts.mart_test TO PUBLIC")
    assert governed.ask("SELECT relacl::text ~ '[{,]=r' FROM pg_class WHERE oid = 'marts.mart_test'::regclass") == [
        (False,)
    ]


def test_each_role_has_the_rights_that_it_needs_and_no_others(governed: Governed) -> None:
    check_rights(governed)


@pytest.mark.slow
def test_rights_and_publishing_on_servers_of_other_versions(other: Governed) -> None:
    check_rights(other)
    check_publishing(other)


def check_publishing(governed: Governed) -> None:
    governed.apply()
    for version in (1, 2, 3):
        assert governed.publish(version) == ROWS
        assert governed.seen() == (ROWS, version, version)
    assert governed.publish_batches(4, ["B-0", "B-1"]) == 2
    assert governed.seen() == (ROWS, 3, 4)
    indexes = "SELECT count(*) FROM pg_index WHERE indrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = "
    assert governed.ask(f"{indexes} 'marts.mart_test'::regclass)") == [(2,)]
    owners = "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = to_regnamespace('lake')"
    assert governed.ask(owners) == [("lake_owner",)]
    # The new partition is reached through the mart only, as the first one was.
    assert not governed.may(WRITER, "INSERT INTO lake.mart_test_2 (batch_id) VALUES ('new')")


def test_the_writer_publishes_what_the_reader_sees(governed: Governed) -> None:
    check_publishing(governed)


def test_readers_of_what_the_writer_publishes_see_whole_versions_only(governed: Governed) -> None:
    governed.publish(0)
    done, found = threading.Event(), set()

    def poll() -> None:
        while not done.is_set():
            found.add(governed.seen())

    thread = threading.Thread(target=poll)
    thread.start()
    for version in range(1, 6):
        governed.publish(version)
    done.set()
    thread.join()
    assert found <= {(ROWS, version, version) for version in range(6)}
    assert len(found) > 1


def test_a_reader_who_holds_on_does_not_stop_the_writer(governed: Governed) -> None:
    governed.publish(1)
    with psycopg.connect(governed.url(READER)) as holding:
        holding.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert holding.execute("SELECT max(version) FROM marts.mart_test").fetchone() == (1,)
        governed.publish(2, timeout=0.2)
        assert holding.execute("SELECT max(version) FROM marts.mart_test").fetchone() == (1,)
    assert governed.seen() == (ROWS, 2, 2)
    governed.publish(3)
    assert governed.seen() == (ROWS, 3, 3)


def test_what_an_interrupted_writer_left_beside_a_mart_is_no_obstacle(governed: Governed) -> None:
    governed.publish(1)
    with psycopg.connect(governed.url(WRITER)) as connection:
        connection.execute("SELECT lake.make_beside('mart_test')")
    governed.publish(2)
    assert governed.seen() == (ROWS, 2, 2)
    assert governed.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'lake' AND tablename LIKE 'mart_test%'") == [
        (1,)
    ]


@pytest.mark.parametrize(
    "mart",
    ["lake.held", "held", "mart_run_history", "x'; DROP TABLE marts.mart_test; --", 'mart_test"', "mart_test_1", ""],
)
def test_functions_of_the_owner_touch_nothing_but_marts(governed: Governed, mart: str) -> None:
    before = governed.ask(SNAPSHOT)
    for function in ("make_beside", "index_beside", "swap_beside", "drop_beside"):
        with psycopg.connect(governed.url(WRITER)) as connection, pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute(f"SELECT lake.{function}(%s)", [mart])
    assert governed.ask(SNAPSHOT) == before


def test_a_catalog_of_the_callers_own_does_not_mislead_the_functions(governed: Governed) -> None:
    governed.publish(1)
    with psycopg.connect(governed.url(WRITER)) as connection:
        connection.execute("CREATE TEMPORARY TABLE pg_class AS SELECT * FROM pg_catalog.pg_class WHERE false")
        connection.execute("GRANT SELECT ON pg_temp.pg_class TO PUBLIC")
        for name, schema, kind, meant in (
            ("victim", "marts", "p", "lake.held"),
            ("victim_1", "lake", "r", "marts.mart_test"),
        ):
            connection.execute(
                "INSERT INTO pg_temp.pg_class (oid, relname, relnamespace, relkind, relispartition, relowner) VALUES "
                "(%s::regclass, %s, to_regnamespace(%s), %s, false, to_regrole('lake_owner'))",
                [meant, name, schema, kind],
            )
        connection.execute("SET search_path = pg_temp, pg_catalog")
        with pytest.raises(psycopg.errors.UndefinedTable, match="no mart victim"):
            connection.execute("SELECT lake.drop_beside('victim')")
    assert governed.seen() == (ROWS, 1, 1)


def test_applied_twice_it_changes_nothing_and_what_was_granted_beyond_it_goes(governed: Governed) -> None:
    governed.publish(1)
    governed.apply()
    first = governed.ask(SNAPSHOT)
    with psycopg.connect(governed.admin) as connection:
        connection.execute("GRANT ALL ON marts.mart_test, lake.held TO lake_reader, PUBLIC")
        connection.execute("GRANT CREATE ON SCHEMA marts TO lake_writer")
    assert governed.ask(SNAPSHOT) != first
    governed.apply()
    governed.apply()
    assert governed.ask(SNAPSHOT) == first
    assert governed.seen() == (ROWS, 1, 1)


def test_a_server_that_was_used_without_roles_is_taken_over(server: str) -> None:
    governed = Governed(server)
    user = f"pipeline_{governed.name}"
    with psycopg.connect(governed.admin) as connection:
        connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'old'")
        connection.execute(f"GRANT ALL ON DATABASE {governed.name} TO {user}; GRANT ALL ON SCHEMA public TO {user}")
        connection.execute("CREATE ROLE bi_" + governed.name)
    old = Database({"attempts": 1}, governed.url(user, "old"))
    old.attempt(holdings.ensure, what="", kept="")
    with old.connect() as connection:
        connection.execute("CREATE SCHEMA marts")
        run_history.ensure(connection)
        for statement in (*data_quality.definition(), *set_aside.definition()):
            connection.execute(statement)
        publish(connection, MART, rows_of(1, MART), swap_timeout_seconds=1)
        connection.execute(f"GRANT SELECT ON marts.mart_test TO bi_{governed.name}")
        connection.execute("CREATE VIEW public.on_top AS SELECT * FROM marts.mart_test")
        connection.execute("CREATE VIEW marts.of_theirs AS SELECT * FROM marts.mart_test")
    governed.apply()
    governed.publish(2)
    assert governed.seen() == (ROWS, 2, 2)
    with old.connect() as connection:
        for view in ("public.on_top", "marts.of_theirs"):
            assert connection.execute(f"SELECT max(version) FROM {view}").fetchone() == (2,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM marts.mart_test")
    assert governed.ask(f"SELECT has_table_privilege('bi_{governed.name}', 'marts.mart_test', 'SELECT')") == [(True,)]
    with pytest.raises(LakeError, match="kedro lake roles apply"):
        governed_as(governed, user)


def governed_as(governed: Governed, user: str) -> None:
    Database({"attempts": 1}, governed.url(user, "old")).attempt(
        lambda connection: connection.execute("INSERT INTO lake.identity VALUES ('x', now())"), what="W", kept=""
    )


def test_an_administrator_need_not_be_a_superuser(server: str) -> None:
    governed = Governed(server)
    user = f"admin_{governed.name}"
    # The roles of a server are there once somebody has applied them; who made them may go on doing so.
    with psycopg.connect(governed.admin) as connection:
        connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'old' CREATEROLE")
        connection.execute(f"ALTER DATABASE {governed.name} OWNER TO {user}")
        for role in ("lake_owner", WRITER, READER):
            if connection.execute("SELECT to_regrole(%s)", [role]).fetchone() != (None,):
                connection.execute(f"GRANT {role} TO {user} WITH ADMIN OPTION")
    governed.apply(admin=governed.url(user, "old"))
    governed.apply(admin=governed.url(user, "old"))
    governed.publish(1)
    assert governed.seen() == (ROWS, 1, 1)
    assert not governed.may(WRITER, "DROP TABLE marts.mart_test")


def test_who_may_not_set_roles_up_is_told_what_it_takes(governed: Governed) -> None:
    before = governed.ask(SNAPSHOT)
    with pytest.raises(LakeError, match=r"lake_writer may not set the roles up.*\n.*CREATEROLE"):
        governed.apply(admin=governed.url(WRITER))
    assert governed.ask(SNAPSHOT) == before


@pytest.mark.parametrize(
    ("grant", "revoke"),
    [
        ("ALTER ROLE lake_reader CREATEDB", "ALTER ROLE lake_reader NOCREATEDB"),
        ("ALTER ROLE lake_writer BYPASSRLS", "ALTER ROLE lake_writer NOBYPASSRLS"),
        ("GRANT lake_owner TO lake_writer", "REVOKE lake_owner FROM lake_writer"),
        ("GRANT lake_writer TO lake_reader", "REVOKE lake_writer FROM lake_reader"),
        ("GRANT pg_write_all_data TO lake_reader", "REVOKE pg_write_all_data FROM lake_reader"),
    ],
)
def test_roles_that_may_do_more_are_refused(governed: Governed, grant: str, revoke: str) -> None:
    with psycopg.connect(governed.admin, autocommit=True) as connection:
        connection.execute(grant)
        try:
            with pytest.raises(LakeError, match="may do more on this server than the lake needs"):
                governed.apply()
        finally:
            connection.execute(revoke)
    governed.apply()


def test_other_columns_are_the_owners_business(governed: Governed) -> None:
    governed.publish(1)
    with psycopg.connect(governed.admin) as connection:
        connection.execute("CREATE VIEW public.on_top AS SELECT batch_id, version FROM marts.mart_test")
    wider = replace(MART, columns={**MART.columns, "extra": "double precision"})
    with pytest.raises(
        LakeError, match=r"other columns .*\(extra\)\. lake_writer may not .*\n.*kedro lake roles apply"
    ):
        governed.publish(2, wider)
    with pytest.raises(LakeError, match=r"marts\.mart_new is not there yet"):
        governed.publish(2, replace(MART, name="mart_new"))
    assert governed.seen() == (ROWS, 1, 1)
    governed.apply(wider, replace(MART, name="mart_new"))
    governed.publish(2, wider)
    governed.publish(3, replace(MART, name="mart_new"))
    assert governed.seen() == (ROWS, 2, 2)
    assert governed.seen(table="marts.mart_new") == (ROWS, 3, 3)
    assert governed.ask("SELECT max(version), count(*) FROM public.on_top") == [(2, ROWS)]
    # An administrator who publishes does it as the owner would.
    governed.publish(4, replace(wider, name="mart_other"), user="admin")
    assert governed.seen(table="marts.mart_other") == (ROWS, 4, 4)


def test_the_sql_that_is_shown_makes_what_apply_makes(governed: Governed) -> None:
    shown = Governed(governed.server)
    text = spell_roles([MART])
    assert text == spell_roles([MART])
    with psycopg.connect(shown.admin, autocommit=True) as connection:
        connection.execute(text)
    by_name = [tuple(str(cell).replace(shown.name, governed.name) for cell in row) for row in shown.ask(SNAPSHOT)]
    assert by_name == [tuple(map(str, row)) for row in governed.ask(SNAPSHOT)]


def test_passwords_are_set_but_not_told(governed: Governed) -> None:
    stored = governed.ask("SELECT rolpassword FROM pg_authid WHERE rolname = 'lake_writer'")[0][0]
    assert stored.startswith("SCRAM-SHA-256$")
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(governed.url(WRITER, "guess"))
