"""TLS to Postgres where the URL asks for it: right name and authority pass, all else is a clear error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.roles.other_servers import found_versions, running_server
from tests.tls.authority import Authority, TlsPort

from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres.database import Database

ENCRYPTED = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
# The wheel's servers are built without TLS.
WITH_TLS = [one for one in found_versions() if "pginstall" not in one]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def secured(server: str, authority: Authority) -> Iterator[str]:
    """The URL of a server whose certificate is for localhost."""
    port = TlsPort(urlsplit(server).port, authority.certify("localhost"), for_postgres=True)
    yield server.replace(urlsplit(server).netloc.rpartition("@")[2], f"localhost:{port.port}")
    port.close()


def ask(url: str, query: str = "SELECT 1") -> object:
    # As often as a run does it: what cannot pass is not tried again.
    return Database({"attempts": 3, "wait_seconds": 30}, url).attempt(
        lambda connection: connection.execute(query).fetchone()[0], what="Publishing", kept="The old marts are there."
    )


def check(secured: str, authority: Authority, tmp_path: Path) -> None:
    trusted = f"{secured}?sslmode=verify-full&sslrootcert={authority.file}"
    assert ask(trusted) == 1
    with pytest.raises(
        LakeError, match=r'certificate for "localhost".* does not match host name "127\.0\.0\.1"'
    ) as found:
        ask(trusted.replace("@localhost", "@127.0.0.1"))
    assert "sslmode=verify-full&sslrootcert=" in found.value.next_step
    stranger = Authority(tmp_path, "theirs")
    with pytest.raises(LakeError, match="certificate verify failed") as found:
        ask(trusted.replace(str(authority.file), str(stranger.file)))
    password = urlsplit(secured).password
    assert password not in str(found.value)
    with pytest.raises(LakeError, match=r"root certificate file .* does not exist"):
        ask(trusted.replace(str(authority.file), "/no/such/file.pem"))


def test_verify_full_wants_the_right_name_and_the_right_authority(secured, authority, tmp_path: Path) -> None:
    check(secured, authority, tmp_path)


def test_a_server_without_tls_is_refused_where_it_is_asked_for(server: str) -> None:
    with pytest.raises(LakeError, match="does not support SSL"):
        ask(f"{server}?sslmode=verify-full&sslrootcert=system")


def test_the_embedded_server_needs_none(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    with pytest.raises(LakeError, match="SSL"):
        ask(server)
    embedded = Database({"path": str(tmp_path)})
    monkeypatch.setattr(Database, "url", server)
    with embedded.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.slow
@pytest.mark.parametrize("programs", WITH_TLS)
def test_a_server_that_speaks_tls_itself(programs: str, authority: Authority, tmp_path: Path) -> None:
    certificate, key = (file.read_text() for file in authority.certify("localhost"))
    with running_server(programs, {"ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": key}) as url:
        secured = url.replace("127.0.0.1", "localhost")
        check(secured, authority, tmp_path)
        assert ask(f"{secured}?sslmode=verify-full&sslrootcert={authority.file}", ENCRYPTED) is True
