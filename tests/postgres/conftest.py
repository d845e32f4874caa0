"""Real servers, each in a folder of its own, and clients of them in processes of their own."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from postgres_client import Client

from bioreactor_lake.postgres import placement, postmaster
from bioreactor_lake.postgres.binaries import private_bases
from bioreactor_lake.postgres.embedded import EmbeddedServer


@pytest.fixture
def client() -> Iterator[Callable[[Path], Client]]:
    started: list[Client] = []

    def start(folder: Path) -> Client:
        started.append(Client(folder))
        return started[-1]

    yield start
    for one in started:
        one.close()


def _clear(folder: Path) -> None:
    """Stop what a failed test may have left, and remove data that root had to put elsewhere."""
    place = placement.existing(folder)
    if place and (running := postmaster.find(place.pgdata)):
        postmaster.stop(running.pid, 60)
    for base in private_bases():
        for home in base.glob(f"{placement._key(folder)}-*"):
            shutil.rmtree(home)


@pytest.fixture(scope="session")
def initialised() -> Iterator[Path]:
    """A folder with a data directory, made once: initdb takes a second. Each test leaves the server stopped."""
    parent = Path(tempfile.mkdtemp(prefix="lake-postgres-"))
    parent.chmod(0o755)  # so that nobody can enter when the tests run as root
    folder = parent / "postgres"
    with EmbeddedServer(folder):
        pass
    yield folder.resolve()
    _clear(folder.resolve())
    shutil.rmtree(parent)


@pytest.fixture
def folder(initialised: Path) -> Iterator[Path]:
    yield initialised
    server = EmbeddedServer(initialised)
    left_over = server.running_url()
    _clear(initialised)
    assert left_over is None, "the server still ran after the test"


@pytest.fixture
def fresh_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that does not exist yet; as root one that nobody cannot enter, since pytest's folders have mode 0700."""
    folder = tmp_path / "data" / "postgres"
    yield folder
    _clear(folder.resolve())


@pytest.fixture
def postmasters() -> Callable[[Path], list[int]]:
    """Return the server processes of a folder."""

    def of(folder: Path) -> list[int]:
        place = placement.existing(folder)
        wanted = ["-D", str(place.pgdata)] if place else []
        return [p.pid for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [])[1:3] == wanted]

    return of
