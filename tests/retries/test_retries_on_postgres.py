"""A Postgres that is away for a moment costs a moment; what is wrong with it is said at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from kedro.io import DatasetError
from tests.increments.lake import Lake, readings
from unready_port import UnreadyPort

from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres.database import Database
from bioreactor_lake.postgres.embedded import EmbeddedServer


def tried_again(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "trying again" in record.getMessage()]


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", server)
    lake.put("B-1.parquet", readings("B-1", 1))
    yield lake
    lake.drop()


@pytest.fixture
def port(server: str) -> Iterator[UnreadyPort]:
    port = UnreadyPort(int(urlsplit(server).port or 0))
    yield port
    port.close()


def through(port: UnreadyPort, url: str) -> str:
    return url.replace(f":{port.target}/", f":{port.port}/")


def test_a_publish_whose_first_connections_are_refused_succeeds(
    lake: Lake, port: UnreadyPort, caplog: pytest.LogCaptureFixture
) -> None:
    own, lake.database = lake.database, through(port, lake.database)
    port.refusing = 2
    lake.run(retries={"wait_seconds": 0.1})
    messages = tried_again(caplog)
    assert len(messages) == 2
    assert all(message.startswith("Publishing marts.mart_bioreactor_overview to 127.0.0.1:") for message in messages)
    lake.database = own
    lake.assert_equals_fresh_build()


def test_a_layer_may_have_a_rule_of_its_own(lake: Lake, port: UnreadyPort, caplog: pytest.LogCaptureFixture) -> None:
    own, lake.database = lake.database, through(port, lake.database)
    port.refusing = 10
    with pytest.raises(DatasetError, match="old mart is in place"):
        lake.run(retries={"wait_seconds": 0.1, "layers": {"marts": {"attempts": 4}, "curated": {"attempts": 9}}})
    assert port.callers == 4
    lake.database = own


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda url: url.replace(urlsplit(url).password, "wrong-one"), "Correct user and password"),
        (lambda url: f"{url}_that_is_not_there", "Create the database"),
        (lambda url: url.replace(urlsplit(url).username, "nobody"), "Correct user and password"),
        (lambda url: f"{url}?sslmode=require", "Name the server as its certificate does"),
    ],
)
def test_what_is_wrong_is_tried_once(
    lake: Lake, port: UnreadyPort, caplog: pytest.LogCaptureFixture, wrong: Any, says: str
) -> None:
    database = Database({"wait_seconds": 5}, wrong(through(port, lake.database)))
    with pytest.raises(LakeError, match=says):
        database.attempt(lambda connection: None, what="Publishing", kept="")
    assert port.callers == 1
    assert tried_again(caplog) == []


@pytest.mark.parametrize(
    ("state", "attempts"),
    [("40001", 3), ("55P03", 3), ("53300", 3), ("57P03", 3), ("08006", 3), ("23505", 1), ("22012", 1), ("57014", 1)],
)
def test_what_passes_by_itself_is_tried_again_and_nothing_else(server: str, state: str, attempts: int) -> None:
    tried = []

    def fail(connection: psycopg.Connection[Any]) -> None:
        tried.append(state)
        connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'said' USING ERRCODE = '{state}'; END $$")

    with pytest.raises(LakeError, match="said"):
        Database({"wait_seconds": 0}, server).attempt(fail, what="Publishing", kept="")
    assert len(tried) == attempts


def test_two_transactions_that_lock_each_other_out_both_succeed(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    database = Database({"wait_seconds": 0}, lake.database)
    with database.connect() as connection:
        connection.execute("CREATE TABLE public.a (n int); CREATE TABLE public.b (n int)")
    meet = threading.Barrier(2)

    def lock(first: str, second: str) -> None:
        met = []

        def act(connection: psycopg.Connection[Any]) -> None:
            connection.execute(f"LOCK TABLE public.{first}")
            if not met:
                met.append(meet.wait(10))
            connection.execute(f"LOCK TABLE public.{second}")
            connection.execute(f"INSERT INTO public.{first} VALUES (1)")

        database.attempt(act, what=f"Locking {first}", kept="")

    threads = [threading.Thread(target=lock, args=names) for names in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with database.connect() as connection:
        found = connection.execute("SELECT (SELECT count(*) FROM public.a), (SELECT count(*) FROM public.b)").fetchone()
    assert found == (1, 1)
    assert len(tried_again(caplog)) == 1
    assert "deadlock" in caplog.text or "Process" in caplog.text


def test_postgres_restarts_during_a_publish(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server, again = EmbeddedServer(tmp_path / "postgres"), EmbeddedServer(tmp_path / "postgres")
    database = Database({"wait_seconds": 0.5, "attempts": 10}, server.acquire())
    tried: list[int] = []

    def restart() -> None:
        postmaster = int(Path(f"/proc/{tried[0]}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(postmaster, signal.SIGINT)  # as an operator stops it: sessions are ended
        while Path(f"/proc/{postmaster}").exists():
            time.sleep(0.05)
        again.acquire()

    restarting = threading.Thread(target=restart)

    def publish(connection: psycopg.Connection[Any]) -> None:
        tried.append(connection.info.backend_pid)
        connection.execute("CREATE TABLE public.t AS SELECT generate_series(1, 1000) AS n")
        if len(tried) == 1:
            restarting.start()
            connection.execute("SELECT pg_sleep(30)")

    try:
        database.attempt(publish, what="Publishing", kept="")
        with database.connect() as connection:
            assert connection.execute("SELECT count(*) FROM public.t").fetchone() == (1000,)
        assert len(tried) == 2
        assert tried_again(caplog)
    finally:
        restarting.join(30)
        again.release()
        server.release()
