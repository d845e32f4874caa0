"""Starting the server: on which port, and what to do when it does not come up."""

import hashlib
import itertools
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres import cluster, postmaster
from bioreactor_lake.postgres.binaries import OWN_SERVER, Binaries
from bioreactor_lake.postgres.placement import Placement

START_SECONDS = 120.0  # recovering from a crash can take a while
_ORPHAN_SECONDS = 30.0  # until the processes of a server that was killed have noticed it


def start(
    binaries: Binaries, place: Placement, options: Mapping[str, str], log_file: Path, free_ports: Iterator[int]
) -> int:
    """Start the server and return its port; try again on another port, or while orphans of an earlier server are there.

    Raises:
        LakeError: It did not come up; the message shows what it said.

    """
    deadline = time.monotonic() + _ORPHAN_SECONDS
    port = next(free_ports)
    while True:
        postmaster.drop_foreign_pid_file(place.pgdata)
        log = cluster.open_log(log_file)
        try:
            begin = os.fstat(log).st_size
            settings = cluster.settings(port, options)
            pid = postmaster.launch(binaries.program("postgres"), place.pgdata, settings, log, place.account)
            if ready := until_ready(place.pgdata, pid, log_file):
                return ready.port
            said = os.pread(log, 100_000, begin).decode(errors="replace")
        finally:
            os.close(log)
        # A server killed with -9 leaves processes behind that still use its shared memory, for a moment.
        is_orphaned = "shared memory block" in said or 'lock file "postmaster.pid" already exists' in said
        is_taken = "could not bind" in said
        if not (is_orphaned or is_taken) or time.monotonic() > deadline:
            raise LakeError(
                f"The Postgres server could not be started. The end of {log_file}:\n{cluster.last_lines(said)}",
                kept=f"The data in {place.pgdata} were left as they are.",
                next_step="Correct what the log says and run again. If the data are damaged, or of another version, "
                f"move them away: the next run builds the marts anew. Or: {OWN_SERVER}",
            )
        if is_taken:
            port = next(free_ports)
        else:
            time.sleep(0.2)


def until_ready(pgdata: Path, pid: int, log_file: Path) -> postmaster.Postmaster | None:
    """Wait for a server that starts; None when it has ended instead."""
    try:
        return postmaster.wait_ready(pgdata, pid, START_SECONDS)
    except TimeoutError:
        raise LakeError(
            f"The Postgres server in {pgdata} (process {pid}) is not ready after {START_SECONDS:.0f} s.",
            kept="It goes on; a recovery after a crash takes its time.",
            next_step=f"Look into {log_file} and run again later.",
        ) from None


def ports(folder: Path, last: int | None) -> Iterator[int]:
    """Yield free ports: the last one first, so that saved connections of BI tools stay valid, then the folder's own."""
    own = 20_000 + int(hashlib.sha256(os.fsencode(folder)).hexdigest(), 16) % 10_000
    # Below 32768 as long as one is found: from there on the system hands them out to outgoing connections.
    candidates = [*([last] if last else []), *range(own, own + 20)]
    for port in itertools.chain(candidates, itertools.repeat(0)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((cluster.HOST, port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
        yield found
