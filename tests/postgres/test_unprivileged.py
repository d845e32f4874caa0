"""Whose server it is: an ordinary user's own, or, since Postgres refuses root, an unprivileged user's."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from postgres_client import SOURCE

from bioreactor_lake.postgres import binaries, placement
from bioreactor_lake.postgres.embedded import EmbeddedServer

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root; as an ordinary user test_embedded says it all")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="lake-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_root_keeps_the_data_in_the_folder_where_nobody_can_enter(folder: Path) -> None:
    place = placement.existing(folder)
    assert place
    assert place.pgdata == folder / "pgdata"
    assert place.account
    assert place.pgdata.stat().st_uid == place.account.uid != 0
    assert (folder / "password").stat().st_uid == 0


def test_root_puts_the_data_elsewhere_rather_than_open_a_private_folder(fresh_folder: Path, tmp_path: Path) -> None:
    private = tmp_path.parent.stat().st_mode
    fresh_folder.mkdir(parents=True)
    with EmbeddedServer(fresh_folder) as url, psycopg.connect(url) as connection:
        connection.execute("create table kept as select 1 as n")
    place = placement.existing(fresh_folder)
    assert place
    assert place.pgdata == Path((fresh_folder / "pgdata.location").read_text().strip()) / "pgdata"
    assert tmp_path.parent.stat().st_mode == private
    assert private & 0o077 == 0
    with EmbeddedServer(fresh_folder) as url, psycopg.connect(url) as connection:
        assert connection.execute("select n from kept").fetchone() == (1,)
    copied = tmp_path / "copy"
    shutil.copytree(fresh_folder, copied)
    assert placement.existing(copied) is None  # two folders never share one data directory
    # A folder that was deleted and made anew begins anew, and what it left is cleared away.
    shutil.rmtree(fresh_folder)
    fresh_folder.mkdir()
    renewed = placement.choose(fresh_folder, lambda _: False)
    assert renewed.pgdata != place.pgdata
    assert not place.pgdata.exists()
    shutil.rmtree(renewed.pgdata.parent)


@pytest.mark.slow
def test_root_copies_programs_that_nobody_can_reach(
    open_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = binaries.packaged()
    private = binaries._copied(installed, tmp_path / "site")
    monkeypatch.setattr(binaries, "private_bases", lambda: (open_folder / "programs",))
    account = binaries.Account(NOBODY, NOBODY)
    copy = binaries.runnable_by(private, account)
    assert copy.site.parent == open_folder / "programs"
    made = copy.program("postgres").stat()
    assert (made.st_uid, made.st_mode & 0o777) == (0, 0o755)
    assert binaries.runnable_by(private, account) == copy
    assert copy.program("postgres").stat() == made  # reused
    assert [path.name for path in copy.site.parent.iterdir()] == [copy.site.name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bioreactor_lake.postgres.embedded.packaged", lambda: private)
        with EmbeddedServer(open_folder / "postgres") as url, psycopg.connect(url) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_a_private_folder_prepared_by_somebody_else_is_refused(open_folder: Path) -> None:
    trap = open_folder / "trap"
    trap.mkdir()
    os.chown(trap, NOBODY, NOBODY)
    with pytest.raises(PermissionError, match="only root"):
        binaries.trusted_folder(trap)


def test_an_ordinary_user_runs_it_himself_after_an_initdb_that_was_killed(open_folder: Path) -> None:
    home = open_folder / "home"
    unfinished = home / "data" / "postgres" / "pgdata.new-x1"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    for path in (home, *home.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    python = _python_of(NOBODY)
    code = """
import os, sys
from pathlib import Path
from bioreactor_lake.postgres.embedded import EmbeddedServer
from bioreactor_lake.postgres import placement
folder = Path(sys.argv[1])
for _ in range(2):
    with EmbeddedServer(folder) as url:
        place = placement.existing(folder)
        assert place.account is None and place.pgdata.stat().st_uid == os.geteuid() != 0
        assert url.startswith("postgresql://lake:")
    assert EmbeddedServer(folder).running_url() is None
assert sorted(path.name for path in folder.iterdir()) == [
    "lifecycle.lock", "password", "pgdata", "postgres.log", "url", "users.lock"]
"""
    site = binaries.packaged().site
    done = subprocess.run(
        [python, "-c", code, str(home / "data" / "postgres")],
        env={"PYTHONPATH": f"{SOURCE}:{site}", "HOME": str(home), "PATH": os.environ["PATH"]},
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # Root, at work in that user's folder, runs it as he does and leaves him his files.
    with EmbeddedServer(home / "data" / "postgres"):
        assert placement.existing(home / "data" / "postgres") is not None
    assert {path.stat().st_uid for path in (home / "data" / "postgres").iterdir()} == {NOBODY}


def _python_of(uid: int) -> str:
    """Return a Python that the user can run: that of the tests may lie in root's home."""
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        command = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            asked = subprocess.run(command, user=uid, cwd="/", capture_output=True, check=False)
        except OSError:
            continue
        if asked.returncode == 0:
            return python
    pytest.skip("there is no Python that an ordinary user can run")
