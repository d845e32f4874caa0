"""One copy of the project for all tests, filled by a real run on the sample."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nbclient import NotebookClient
from project_copy import SERVER, Lake, Viz, executed

from bioreactor_lake.postgres.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def lake() -> Iterator[Lake]:
    folder = Path(tempfile.mkdtemp(prefix="lake-explore-"))
    folder.chmod(0o755)  # as root the server runs as another user, who must be able to enter
    made = Lake(folder)
    made.kedro("run")
    yield made
    server = EmbeddedServer(made.postgres)
    if server.running_url():  # left behind by a process that was killed; whoever leaves last stops it
        with server:
            pass
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def start_viz(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Viz]]:
    started: list[Viz] = []

    def start(**environment: str) -> Viz:
        log = tmp_path_factory.mktemp("viz") / "log"
        viz = Viz([sys.executable, "-c", SERVER, "{port}"], lake, log, **environment)
        started.append(viz)
        viz.wait()
        return viz

    yield start
    for viz in started:
        viz.process.send_signal(signal.SIGINT)
        viz.process.wait(30)


@pytest.fixture(scope="session")
def viz(start_viz: Callable[..., Viz]) -> Viz:
    return start_viz()


@pytest.fixture(scope="session")
def notebook(lake: Lake) -> Iterator[NotebookClient]:
    """The first notebook after its last cell, with its kernel still up."""
    with executed(lake, "first_look") as client:
        yield client
