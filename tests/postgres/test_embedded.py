"""The embedded server's life: started once, shared, recovered, stopped by the last of its users."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
from postgres_client import Client, ask, running

from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres import binaries, placement
from bioreactor_lake.postgres.embedded import EmbeddedServer

Clients = Callable[[Path], Client]
Postmasters = Callable[[Path], list[int]]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_starts_serves_and_stops(folder: Path) -> None:
    server = EmbeddedServer(folder)
    assert server.running_url() is None
    with server as url:
        parts = urlsplit(url)
        assert (parts.scheme, parts.username, parts.hostname, parts.path) == (
            "postgresql", "lake", "127.0.0.1", "/lake",
        )  # fmt: skip
        assert ask(url, "select current_user") == "lake"
        assert ask(url, "select datlocale from pg_database where datname = current_database()") == "C.UTF-8"
        shown = {
            name: ask(url, f"show {name}")
            for name in ("listen_addresses", "unix_socket_directories", "timezone", "wal_level", "jit", "fsync")
        }
        assert shown == {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "timezone": "UTC",
            "wal_level": "minimal",
            "jit": "off",
            "fsync": "on",
        }
        assert server.acquire() == server.running_url() == url
    assert server.running_url() is None
    assert running(folder) is None
    with server as again:
        assert again == url  # the port too: saved connections of BI tools stay valid


def test_only_the_password_lets_in_and_it_is_shown_nowhere(folder: Path) -> None:
    server = EmbeddedServer(folder)
    with server as url:
        password = urlsplit(url).password or ""
        assert len(password) >= 24
        for refused in (url.replace(password, "wrong"), url.replace(f":{password}", "")):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(refused)
        place = placement.existing(folder)
        assert place
        assert mode(place.pgdata) == 0o700
        assert [mode(folder / name) for name in ("password", "url", "postgres.log")] == [0o600] * 3
        pid = running(folder)
        assert pid
        for shown in (repr(server), server.describe(), server.log_file.read_text(), psutil.Process(pid.pid).cmdline()):
            assert password not in str(shown)


def test_processes_share_it_and_the_last_one_stops_it(folder: Path, client: Clients) -> None:
    first, second = client(folder), client(folder)
    assert first.url() == second.url() != ""
    first.leave()
    assert EmbeddedServer(folder).running_url()
    second.leave()
    assert running(folder) is None


def test_objects_in_one_process_share_it_too(folder: Path) -> None:
    with EmbeddedServer(folder) as outer:
        with EmbeddedServer(folder) as inner:
            assert inner == outer
        assert ask(outer, "select 1") == 1


def test_six_simultaneous_first_starts_give_one_server(
    fresh_folder: Path, client: Clients, postmasters: Postmasters
) -> None:
    clients = [client(fresh_folder) for _ in range(6)]
    urls = {one.url() for one in clients}
    assert len(urls) == 1
    assert len(postmasters(fresh_folder)) == 1
    assert ask(urls.pop(), "select 1") == 1
    for one in clients:
        one.begin_to_leave()
    for one in clients:
        assert one.process.wait(timeout=120) == 0
    assert postmasters(fresh_folder) == []


def test_leaving_and_starting_at_once_never_fails(folder: Path, client: Clients) -> None:
    clients = [client(folder) for _ in range(3)]
    for one in clients:
        url = one.url()
        assert url.startswith("postgresql://")
        clients_next = client(folder)
        one.leave()
        assert ask(clients_next.url(), "select 1") == 1
        clients_next.leave()


def test_a_port_that_is_taken_is_replaced(folder: Path) -> None:
    with EmbeddedServer(folder) as url:
        port = urlsplit(url).port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with EmbeddedServer(folder) as moved:
            assert urlsplit(moved).port != port
            assert ask(moved, "select 1") == 1


def test_an_error_shows_the_log_and_not_the_password(folder: Path) -> None:
    password = (folder / "password").read_text().strip()
    with pytest.raises(LakeError) as caught:
        EmbeddedServer(folder, options={"no_such_setting": "1"}).acquire()
    assert "no_such_setting" in str(caught.value)
    assert "BIOREACTOR_LAKE_POSTGRES_URL" in caught.value.next_step
    assert password not in str(caught.value)
    with EmbeddedServer(folder, options={"log_statement": "ddl"}) as url:
        assert ask(url, "show log_statement") == "ddl"


def test_a_long_log_is_begun_anew(folder: Path) -> None:
    log = folder / "postgres.log"
    os.truncate(log, 11_000_000)
    with EmbeddedServer(folder):
        assert log.stat().st_size < 1_000_000
        assert (folder / "postgres.log.1").stat().st_size == 11_000_000


def test_without_a_wheel_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch, fresh_folder: Path) -> None:
    monkeypatch.setattr(binaries, "_PACKAGE", "no_such_package_pgserver")
    with pytest.raises(LakeError, match="BIOREACTOR_LAKE_POSTGRES_URL"):
        EmbeddedServer(fresh_folder).acquire()
