"""A process of its own that uses the embedded server."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg

from bioreactor_lake.postgres import placement, postmaster

SOURCE = Path(__file__).parents[2] / "src"
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")]),
    # The project of these tests has no configuration; Kedro's default one would say so on standard output.
    "KEDRO_LOGGING_CONFIG": str(SOURCE.parent / "conf" / "logging.yml"),
}

# Holds the server until its standard input ends.
CLIENT = """
import sys
from pathlib import Path
from bioreactor_lake.postgres.embedded import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


class Client:
    """A process that uses the server."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )

    def url(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        self.begin_to_leave()
        assert self.process.wait(timeout=120) == 0

    def begin_to_leave(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=60)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, connect_timeout=30) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def running(folder: Path) -> postmaster.Postmaster | None:
    place = placement.existing(folder)
    return postmaster.find(place.pgdata) if place else None
