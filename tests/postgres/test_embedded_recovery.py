"""The embedded server after what ends a process in the middle of its work."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from postgres_client import ENVIRONMENT, Client, ask, running

from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres import placement, postmaster
from bioreactor_lake.postgres.embedded import EmbeddedServer

Clients = Callable[[Path], Client]


def test_a_first_start_that_was_killed_is_begun_anew(fresh_folder: Path, client: Clients) -> None:
    killed = client(fresh_folder)
    parents = [fresh_folder]
    while not any(next(parent.glob("pgdata.new-*/base"), None) for parent in parents):  # initdb is at work
        time.sleep(0.01)
        assert killed.process.poll() is None
        with contextlib.suppress(FileNotFoundError):
            parents = [Path((fresh_folder / "pgdata.location").read_text().strip()), fresh_folder]
    killed.kill()
    with EmbeddedServer(fresh_folder) as url:
        assert ask(url, "select 1") == 1


def test_a_killed_client_leaves_a_server_that_the_next_one_uses_and_stops(folder: Path, client: Clients) -> None:
    killed = client(folder)
    killed.url()
    before = running(folder)
    killed.kill()
    assert before == running(folder) is not None
    with EmbeddedServer(folder) as url:
        assert running(folder) == before
        assert ask(url, "select 1") == 1
    assert running(folder) is None


def test_a_killed_server_is_started_again_with_its_data(folder: Path) -> None:
    server = EmbeddedServer(folder)
    with server as url:
        with psycopg.connect(url) as connection:
            connection.execute("create table if not exists kept as select generate_series(1, 1000) as n")
        busy = psycopg.connect(url)  # its process outlives the server for a moment
        before = running(folder)
        assert before
        os.kill(before.pid, signal.SIGKILL)
        while postmaster.is_alive(before.pid):  # the kernel takes a moment
            time.sleep(0.001)
        again = server.acquire()
        busy.close()
        assert ask(again, "select count(*) from kept") == 1000
        after = running(folder)
        assert after
        assert after.pid != before.pid
    assert running(folder) is None


def test_a_process_number_used_anew_after_a_reboot_is_not_taken_for_the_server(folder: Path) -> None:
    place = placement.existing(folder)
    assert place
    (place.pgdata / "postmaster.pid").write_text(
        f"{os.getpid()}\n{place.pgdata}\n1700000000\n5432\n\n127.0.0.1\n\nready\n"
    )
    server = EmbeddedServer(folder)
    assert server.running_url() is None
    with server as url:
        assert ask(url, "select 1") == 1


def test_a_forked_child_neither_stops_it_nor_gives_it_up(folder: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from bioreactor_lake.postgres.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.acquire()
for use in (server.release, server.acquire, lambda: None):
    child = os.fork()
    if child == 0:
        use()
        sys.exit(0)  # runs what is registered with atexit
    assert os.waitpid(child, 0)[1] == 0
    assert EmbeddedServer(Path(sys.argv[1])).running_url(), use
"""
    run_python(code, folder)
    assert running(folder) is None  # stopped at the parent's exit, without a release


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,  # whoever reads our output would otherwise wait for the server's end
        check=True,
    )


def test_a_pipe_ends_with_its_client_not_with_the_server(folder: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from bioreactor_lake.postgres.embedded import EmbeddedServer
EmbeddedServer(Path(sys.argv[1])).acquire()
print("acquired", flush=True)
os._exit(0)
"""
    assert run_python(code, folder).stdout == "acquired\n"
    left = running(folder)
    assert left
    assert os.getsid(left.pid) != os.getsid(0)  # nor does Ctrl-C reach it
    with EmbeddedServer(folder):
        pass


def test_a_lost_password_is_replaced(folder: Path) -> None:
    with EmbeddedServer(folder) as url:
        (folder / "password").unlink()
        with pytest.raises(LakeError, match="password file"):
            EmbeddedServer(folder).acquire()
    with EmbeddedServer(folder) as renewed:
        assert urlsplit(renewed).password != urlsplit(url).password
        assert ask(renewed, "select 1") == 1
