"""What is in the data directory: its making, the settings of the server, the password."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres.binaries import OWN_SERVER, Binaries
from bioreactor_lake.postgres.locks import open_private
from bioreactor_lake.postgres.placement import Placement
from bioreactor_lake.postgres.postmaster import run

USER = "lake"
DATABASE = "lake"
HOST = "127.0.0.1"

_SETTINGS: Mapping[str, str] = {
    "max_connections": "50",
    "shared_buffers": "128MB",
    # One machine, no replica: a table loaded in the transaction that made or emptied it then writes no WAL.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "log_checkpoints": "off",
    # A CREATE ROLE … PASSWORD that fails would otherwise put the password into the log.
    "log_min_error_statement": "panic",
}

_LONGEST_LOG = 10_000_000
_OLD_LOGS = 5

# Passwords over TCP from this machine, and nothing else: 'trust' would let any local user in.
_ACCESS = """# TYPE  DATABASE  USER  ADDRESS       METHOD
host      all       all   127.0.0.1/32  scram-sha-256
"""


def settings(port: int, options: Mapping[str, str]) -> dict[str, str]:
    """Return all settings of a start; the caller's options win, except over where the server listens."""
    # No socket: its path would have to stay under some 100 characters, and TCP serves every client.
    listening = {"listen_addresses": HOST, "port": str(port), "unix_socket_directories": ""}
    return {**_SETTINGS, **options, **listening}


def initialise(binaries: Binaries, placement: Placement, password: str) -> None:
    """Make a data directory with user and database; built beside it and renamed, so that it is whole or absent.

    Raises:
        LakeError: initdb failed.

    """
    for unfinished in placement.pgdata.parent.glob("pgdata.new-*"):  # an earlier attempt was killed
        shutil.rmtree(unfinished, ignore_errors=True)
    # Another name each time: the initdb of a process that was killed may still be writing.
    fresh = Path(tempfile.mkdtemp(prefix="pgdata.new-", dir=placement.pgdata.parent))
    try:
        if placement.account:
            os.chown(fresh, placement.account.uid, placement.account.gid)
        _fill(binaries, Placement(fresh, placement.account), password)
        fresh.rename(placement.pgdata)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _fill(binaries: Binaries, fresh: Placement, password: str) -> None:
    # --no-sync: nothing of value is in it yet, and a sync can cost more than the rest. 'reject' until our rules are in.
    command = f"--no-sync --no-instructions --username={USER} --encoding=UTF8 --auth=reject --no-locale"
    locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    made = run([binaries.program("initdb"), "-D", fresh.pgdata, *command.split(), *locale], fresh.account)
    if made.returncode != 0:
        raise LakeError(
            f"PostgreSQL could not create its data directory {fresh.pgdata}:\n{last_lines(made.stdout)}",
            next_step=f"Make room, or give this user an entry in /etc/passwd, if it says so. Or: {OWN_SERVER}",
        )
    _single_user(binaries, fresh, password, f"CREATE DATABASE {DATABASE}")
    rules = os.open(fresh.pgdata / "pg_hba.conf", os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)
    with os.fdopen(rules, "w") as file:
        file.write(_ACCESS)


def set_password(binaries: Binaries, placement: Placement, password: str) -> None:
    """Set the password while no server runs; through a pipe, so that it is on no command line and in no file."""
    _single_user(binaries, placement, password)


def _single_user(binaries: Binaries, placement: Placement, password: str, *statements: str) -> None:
    command: list[str | Path] = [binaries.program("postgres"), "--single", "-D", placement.pgdata]
    for name, value in {**_SETTINGS, "exit_on_error": "on", "log_statement": "none"}.items():
        command += ["-c", f"{name}={value}"]
    lines = (*statements, f"ALTER ROLE {USER} PASSWORD '{password}'", "")
    done = run([*command, "postgres"], placement.account, text="\n".join(lines))
    if done.returncode != 0:
        said = last_lines(done.stdout.replace(password, "***"))
        raise LakeError(
            f"PostgreSQL could not set up its data directory {placement.pgdata}:\n{said}",
            next_step=f"If it is damaged, move it away: the next run builds the marts anew. Or: {OWN_SERVER}",
        )


def last_lines(text: str, count: int = 12) -> str:
    """Return the end of a log, indented for an error message."""
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-count:]) or "  (it said nothing)"


def log_settings(statements: str) -> dict[str, str]:
    """Settings for what the log should have of statements: none, ddl, mod (what changes rows as well) or all."""
    if statements == "none":
        return {}
    return {"log_statement": statements, "log_line_prefix": "%m [%p] %u@%d %a: "}


def open_log(path: Path) -> int:
    """Open the server's log for appending; beyond the limit a new one is begun and some old ones are kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if _is_long(path):
        _make_room(path)
        path.replace(_numbered(path, 1))
    return open_private(path, os.O_APPEND)


def shorten_log(path: Path) -> None:
    """Begin the log of a running server anew beyond the limit; it is copied, since the server has it open."""
    if _is_long(path):
        _make_room(path)
        copy = os.open(_numbered(path, 1), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(copy, "wb") as target, path.open("r+b") as source:
            shutil.copyfileobj(source, target)
            source.truncate(0)


def _is_long(path: Path) -> bool:
    return path.exists() and path.stat().st_size > _LONGEST_LOG


def _make_room(path: Path) -> None:
    """Let the oldest log go, and give each other one the next number."""
    for number in range(_OLD_LOGS - 1, 0, -1):
        if (old := _numbered(path, number)).exists():
            old.replace(_numbered(path, number + 1))


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")
