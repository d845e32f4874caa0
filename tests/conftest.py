"""One Postgres server for all tests of a process, each with a database of its own; nothing of it stays."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bioreactor_lake.postgres.embedded import EmbeddedServer

# Runs of tests tell nobody of their lineage, except where that is what is tested.
os.environ.setdefault("OPENLINEAGE_DISABLED", "true")
# Nor do they read what somebody has landed in the project.
os.environ.setdefault("BIOREACTOR_LAKE_LANDING", "/nonexistent/landing")
# Nor do they leave pages of what they checked, or lines of their log, in the project.
_left = tempfile.mkdtemp(prefix="lake-left-")
os.environ.setdefault("BIOREACTOR_LAKE_REPORTS", _left)
os.environ.setdefault("BIOREACTOR_LAKE_LOG_FILE", f"{_left}/lake.log")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: tests wait for servers, signals and pauses."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="lake-tests-"))
    folder.chmod(0o755)  # as root the server runs as another user, who must be able to enter
    with EmbeddedServer(folder / "postgres", options={"fsync": "off"}) as url:
        yield url
    shutil.rmtree(folder)


# They take minutes: a worker that begins one of them last is alone at the end.
LONGEST = (
    "increments/test_same_answer.py", "docs/test_readme.py", "superset/test_superset.py",
    "orchestration/test_dagster.py", "history/test_runs_recorded.py", "object_store/test_runs_on_a_bucket.py",
    "increments/test_checkpoints.py", "increments/test_holds.py", "watch/test_watch.py", "explore/test_viz.py",
    "truth/test_landed_real_data.py", "increments/test_many_batches.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get("/".join(item.path.parts[-2:]), len(ranks)))
