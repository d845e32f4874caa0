"""The Postgres database that the marts are published to: where it is, and what its errors mean."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict, TypeVar
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.retries import with_own
from bioreactor_lake.lake.runs import retry_rule
from bioreactor_lake.postgres import placement
from bioreactor_lake.postgres.cluster import log_settings
from bioreactor_lake.postgres.embedded import EmbeddedServer
from bioreactor_lake.postgres.kept_connections import close_idle, connected

Result = TypeVar("Result")

# Classes and codes of SQLSTATE that can pass by themselves: connection loss, shutdown and crash recovery, too many
# connections or no memory for now, serialisation failure, deadlock, lock time-out.
_PASSING = ("08", "53300", "53200", "57P01", "57P02", "57P03", "40001", "40P01", "55P03")
# How libpq says that it does not trust the server, which no waiting changes.
_UNTRUSTED = ("ertificate", "does not support SSL")


class ServerLogConfig(TypedDict, total=False):
    """The log of the embedded server.

    Args:
        path: The file.
        statements: Which statements of all who connect stand in it: none, ddl, mod or all.
    """

    path: str
    statements: str


# What a server says at log-in while it starts, stops, recovers, or has no connection left.
_NOT_READY = (
    "starting up",
    "shutting down",
    "in recovery mode",
    "not yet accepting",
    "too many clients",
    "connection slots",
)
# Without them a machine or cable that is gone is waited for until TCP gives up, a quarter of an hour later. What the
# URL says of them counts.
_CONNECTING: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
# What is wrong before any server is asked.
_WRONG = (
    "could not translate", "Name or service not known", "nodename nor servname", "no password supplied", "invalid ",
    *_UNTRUSTED,
)  # fmt: skip


class DatabaseConfig(TypedDict, total=False):
    """The catalog's `postgres` entry.

    Args:
        path: Folder of the embedded server, used when the credentials name no other.
        log: Its log; in the folder, without statements, where nothing is said.
        attempts: How often a publish is tried when the error can pass by itself, where it is not as often as
            `retries` says.
        wait_seconds: Time between two attempts, where it is another.
        swap_timeout_seconds: How long a finished mart waits for readers that hold the old one.
    """

    path: str
    log: ServerLogConfig
    attempts: int
    wait_seconds: float
    swap_timeout_seconds: float


_embedded: dict[Path, EmbeddedServer] = {}


class Database:
    """One Postgres database, the embedded one unless a URL is given.

    Args:
        config: Embedded folder and retries.
        url: `postgresql://user:password@host:port/database?options`; None or empty for the embedded server.
    """

    def __init__(self, config: DatabaseConfig, url: str | None = None) -> None:
        self.config = config
        self._url = _plain(url) if url else None

    @property
    def url(self) -> str:
        """The URL with its password. Starts the embedded server if that is the one and it does not run."""
        if self._url is not None:
            return self._url
        return self._server.acquire()

    @property
    def is_made(self) -> bool:
        """Whether there can be anything in it: the embedded one is made when it is first used."""
        return self._url is not None or placement.existing(Path(self.config["path"]).resolve()) is not None

    @property
    def name(self) -> str:
        """Host, port and database for messages, never the password."""
        if self._url is None:
            return f"the embedded Postgres in {self.config['path']}"
        parts = urlsplit(self._url)
        return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"

    @property
    def is_embedded(self) -> bool:
        """Whether it is the embedded server's."""
        return self._url is None

    @property
    def address(self) -> tuple[str, int, str] | None:
        """Host, port and name of the database; None for an embedded server that does not run. Nothing is started.

        Raises:
            psycopg.ProgrammingError: The URL cannot be read.
        """
        url = self._url
        if url is None:
            url = self._server.running_url()
        if url is None:
            return None
        parts = {name: str(value) for name, value in conninfo_to_dict(url).items()}
        # Of several hosts the first is the one by which the database is known; a path is that of a local socket.
        host, port = (parts.get(name, default).partition(",")[0] for name, default in (("host", ""), ("port", "5432")))
        host = "localhost" if not host or host.startswith("/") else host
        return host, int(port or 5432), parts.get("dbname") or parts.get("user") or "postgres"

    @property
    def _server(self) -> EmbeddedServer:
        folder, log = Path(self.config["path"]), self.config.get("log", {})
        if folder not in _embedded:
            path = log.get("path")
            options = log_settings(str(log.get("statements") or "none"))
            _embedded[folder] = EmbeddedServer(folder, options=options, log_file=Path(path) if path else None)
        return _embedded[folder]

    def connect(self) -> psycopg.Connection[Any]:
        """A new connection in UTC.

        Raises:
            psycopg.OperationalError: As Postgres or the network says.
        """
        # The embedded server is on this machine only and has no TLS, whatever PGSSLMODE asks of others.
        url = make_conninfo(self.url, sslmode="disable") if self.is_embedded else self.url
        given = conninfo_to_dict(url)
        usual = {name: value for name, value in _CONNECTING.items() if name not in given}
        return psycopg.connect(url, application_name="bioreactor_lake", options=_options(url), **usual)

    def attempt(self, action: Callable[[psycopg.Connection[Any]], Result], *, what: str, kept: str) -> Result:
        """Carry out an action on a connection of its own; again where its error can pass by itself.

        Args:
            action: Gets a connection; its transaction is committed when it returns, else rolled back.
            what: What is being done, for messages: "Publishing marts.x".
            kept: What is still valid when it fails.

        Raises:
            LakeError: The action failed for good; the message names host and database and what to do.
        """

        def once() -> Result:
            with connected(self.url, self.connect) as connection:
                return action(connection)

        rule = with_own(retry_rule(), self.config.get("attempts"), self.config.get("wait_seconds"))
        try:
            return rule.carry_out(once, what=f"{what} to {self.name}", can_pass=can_pass, explain=_sentence)
        except psycopg.Error as error:
            raise LakeError(
                f"{what} to {self.name} failed: {_sentence(error)}.", kept=kept, next_step=_next_step(error)
            ) from error


def release_embedded() -> None:
    """Let go of the embedded servers that this process uses; the last process stops them."""
    close_idle()
    while _embedded:
        _, server = _embedded.popitem()
        with suppress(LakeError):
            server.release()


def can_pass(error: BaseException) -> bool:
    """Whether an error may be gone at the next attempt."""
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is not None:
        return error.sqlstate.startswith(_PASSING)
    if not isinstance(error, psycopg.OperationalError):
        return False
    # The server went away or was not reached; libpq gives no code for refusals at log-in either. What the server
    # itself refuses stays refused, unless it is just not ready.
    text = str(error)
    if "FATAL:" in text:
        return any(sign in text for sign in _NOT_READY)
    if "Temporary failure in name resolution" in text:
        return True
    return not any(sign in text for sign in _WRONG)


def _plain(url: str) -> str:
    """A URL that libpq reads, from that or from one with an SQLAlchemy driver in its scheme."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in ("postgresql", "postgres"):
        raise LakeError(
            "BIOREACTOR_LAKE_POSTGRES_URL is not a Postgres URL.",
            next_step="Write it as postgresql://user:password@host:5432/database",
        )
    plain = f"postgresql://{rest}"
    try:
        psycopg.conninfo.conninfo_to_dict(plain)
        _ = urlsplit(plain).port
    except (psycopg.Error, ValueError):
        # The library's own message repeats the URL, password and all.
        raise LakeError(
            "BIOREACTOR_LAKE_POSTGRES_URL cannot be read as a Postgres URL.",
            next_step="Write it as postgresql://user:password@host:5432/database; in the password, percent-encode "
            "characters such as @ / : ? # %.",
        ) from None
    return plain


def _options(url: str) -> str:
    """Server options of the URL, if it has any, the session's time zone, and that a backslash in a text is one."""
    given = psycopg.conninfo.conninfo_to_dict(url).get("options") or ""
    return f"{given} -c TimeZone=UTC -c standard_conforming_strings=on".strip()


def _sentence(error: BaseException | None) -> str:
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        # What follows it are details, with values of the row in them, and hints.
        return error.diag.message_primary.rstrip(".")
    # libpq ends with a question ("Is the server running …?"); the cause stands before it.
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.rstrip().endswith("?")]
    if any("root certificate file" in line for line in lines):
        # Libpq's own advice follows, to do without.
        lines = lines[:1]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")


def _next_step(error: psycopg.Error) -> str:
    state, text = error.sqlstate or "", str(error)
    if state.startswith("28") or "authentication failed" in text:
        return "Correct user and password in BIOREACTOR_LAKE_POSTGRES_URL."
    if not state and any(sign in text for sign in _UNTRUSTED):
        return (
            "Name the server as its certificate does, and the authority that signed it: "
            "…?sslmode=verify-full&sslrootcert=/path/to/ca.pem in BIOREACTOR_LAKE_POSTGRES_URL."
        )
    if state == "3D000" or ("does not exist" in text and "database" in text):
        return "Create the database, or correct its name in BIOREACTOR_LAKE_POSTGRES_URL."
    if state == "42501":
        return (
            "Let an administrator run: kedro lake roles apply. On a server without roles, grant the user the right to "
            "create and write in the schemas marts and lake."
        )
    if state.startswith("53"):
        return "Make room on the Postgres server, then run: kedro run --pipeline marts"
    if state == "2BP01":
        return "A view depends on a column that the mart no longer has: change or drop that view."
    return "Check that Postgres is up and reachable, then run: kedro run --pipeline marts"
