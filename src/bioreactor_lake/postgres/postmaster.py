"""The server process: is it there, starting it, stopping it."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bioreactor_lake.postgres.binaries import Account

_POLL = 0.005


@dataclass(frozen=True)
class Postmaster:
    """A living server process of one data directory; `port` counts once it is ready."""

    pid: int
    port: int
    is_ready: bool


def find(pgdata: Path) -> Postmaster | None:
    """Return the living server of a data directory, or None.

    Its postmaster.pid may be a leftover (kill -9, a reboot, a copied folder), and the number somebody else's by now.
    """
    try:
        lines = (pgdata / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
    except (FileNotFoundError, NotADirectoryError, IndexError, ValueError):
        return None
    if not _serves(pid, pgdata):
        return None
    # Lines: process, data directory, start time, port, socket directory, address, shared memory, status.
    is_ready = len(lines) >= 8 and lines[7].strip() == "ready"
    return Postmaster(pid, int(lines[3]) if is_ready else 0, is_ready)


def drop_foreign_pid_file(pgdata: Path) -> None:
    """Remove a postmaster.pid whose number now belongs to a process that is no server of this data directory.

    Postgres would take it for a running server and refuse to start. The file of a dead process stays: with it Postgres
    checks that no orphaned process still uses the shared memory.
    """
    path = pgdata / "postmaster.pid"
    try:
        pid = int(path.read_text().splitlines()[0])
    except FileNotFoundError:
        return
    except (IndexError, ValueError):
        path.unlink()  # cut short by a crash; Postgres refuses an empty one
        return
    if is_alive(pid) and not _serves(pid, pgdata):
        path.unlink()


def launch(postgres: Path, pgdata: Path, settings: Mapping[str, str], log: int, account: Account | None) -> int:
    """Start a server that outlives us, and return its process number; it is not ready then.

    The shell in between makes the server an orphan at once: as our own child it would stay a zombie when another
    process stops it. It is in a session of its own, so that Ctrl-C does not reach it, and holds none of our
    descriptors: whoever waits for the end of our output would wait for the server.
    """
    arguments = [str(postgres), "-D", str(pgdata)]
    for name, value in settings.items():
        arguments += ["-c", f"{name}={value}"]
    shell = ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *arguments]
    started = run(shell, account, stderr=log, start_new_session=True)
    return int(started.stdout)


def stop(pid: int, seconds: float) -> bool:
    """Stop a server: a fast shutdown, which rolls open transactions back; return whether it has ended in time.

    After `seconds` it is told to end at once, which costs a recovery at the next start, but no committed row.
    """
    for order, patience in ((signal.SIGINT, seconds), (signal.SIGQUIT, 10.0)):
        try:
            os.kill(pid, order)
        except ProcessLookupError:
            return True
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not is_alive(pid):
                return True
            time.sleep(_POLL)
    return False


def wait_ready(pgdata: Path, pid: int, seconds: float) -> Postmaster | None:
    """Wait until a process accepts connections; None when it has ended.

    Raises:
        TimeoutError: It is still starting, for instance recovering from a crash, or still stopping.

    """
    deadline = time.monotonic() + seconds
    while True:
        found = find(pgdata)
        if found and found.pid == pid and found.is_ready:
            return found
        if not is_alive(pid):
            return None
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(_POLL)


def run(
    command: Sequence[str | Path],
    account: Account | None,
    *,
    text: str | None = None,
    stderr: int = subprocess.STDOUT,
    start_new_session: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a program as `account` and return its output; of our environment it gets only what it needs."""
    kept = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
    # LC_ALL: errors are read by us, and macOS starts threads in a server without it.
    environment = {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}
    return subprocess.run(  # noqa: S603 - our own binaries and constants
        command,
        input=text,
        stdin=None if text is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        errors="replace",
        check=False,
        cwd="/",  # the account may not enter ours
        env=environment,
        umask=0o077,
        start_new_session=start_new_session,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie, which a container without an init process keeps for ever, does not."""
    return _command(pid) is not None


def _serves(pid: int, pgdata: Path) -> bool:
    command = _command(pid) or ""
    if f"/postgres -D {pgdata} " in command:
        return True
    try:  # the folder was renamed under the running server, or reached by another path
        return "/postgres -D " in command and Path(f"/proc/{pid}/cwd").samefile(pgdata)
    except OSError:
        return False


def _command(pid: int) -> str | None:
    """Return the words of a living process's command, a blank after each; None when there is no such process."""
    if pid <= 0:
        return None
    if Path("/proc/self/stat").exists():
        try:
            state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
            command = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if state in "ZX" else command
    listed = subprocess.run(  # noqa: S603 - macOS and BSD have no /proc, Linux images often no ps
        ["/bin/ps", "-ww", "-o", "stat=,args=", "-p", str(pid)], capture_output=True, check=False
    )
    state, _, command = os.fsdecode(listed.stdout).strip().partition(" ")
    return None if not state or state.startswith("Z") else f"{command.strip()} "
