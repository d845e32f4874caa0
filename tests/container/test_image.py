"""The image is built and run as in production: ordinary user, read-only root, secrets as files, SIGTERM at any time."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import duckdb
import psycopg
import pytest
from tests.container.image import PROJECT, Container, build, missing

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing())]

USER = 10001
SAMPLE = PROJECT / "data" / "01_raw" / "bioreactor"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build(tmp_path_factory.mktemp("image"))


class Mounted:
    """A lake in mounted folders, with a database of its own whose address is a file."""

    def __init__(self, folder: Path, server: str) -> None:
        self.data, self.secrets = folder / "data", folder / "secrets"
        self.raw = self.data / "raw" / "bioreactor"
        self.raw.mkdir(parents=True)
        self.secrets.mkdir()
        name = f"image_{uuid4().hex[:8]}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        self.database = f"{server.rpartition('/')[0]}/{name}"
        (self.secrets / "postgres_url").write_text(self.database + "\n")

    def container(self, *mounts: str, **variables: str) -> Container:
        for path in [self.data, *self.data.rglob("*")]:
            shutil.chown(path, USER, USER)
        for path in (self.secrets, self.data):
            for parent in path.parents:
                if parent.owner() == "root" and parent != Path("/"):
                    parent.chmod(parent.stat().st_mode | 0o011)
        address = {"BIOREACTOR_LAKE_POSTGRES_URL_FILE": "/run/secrets/postgres_url"}
        folders = (f"{self.data}:/data/lake", f"{self.secrets}:/run/secrets:ro", *mounts)
        return Container(folders, address | variables)

    def rows(self, table: str) -> int:
        with psycopg.connect(self.database) as connection:
            if connection.execute("SELECT to_regclass(%s)", [table]).fetchone() == (None,):
                return 0
            (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,)
            return int(count)

    def events(self) -> list[tuple[str, str]]:
        lines = (self.data / "lineage" / "events.jsonl").read_text().splitlines()
        return [(event["eventType"], event["job"]["name"]) for event in map(json.loads, lines)]


@pytest.fixture
def lake(image: str, server: str, tmp_path: Path) -> Mounted:
    return Mounted(tmp_path, server)


def test_what_the_image_has(lake: Mounted) -> None:
    code, said = lake.container().run(
        "sh", "-c",
        "id -u; touch /opt/bioreactor_lake/x; touch /tmp/x && echo tmp; touch /data/lake/x && echo data; "
        "for tool in pip pip3 gcc cc make ld uv; do command -v $tool; done; "
        "python -c 'import pip'; echo end",  # setuptools is there: what asks REST APIs needs it
    )  # fmt: skip
    assert code == 0
    lines = said.splitlines()
    assert [line for line in lines if line in (str(USER), "tmp", "data", "end")] == [str(USER), "tmp", "data", "end"]
    assert "Read-only file system" in said
    assert "No module named 'pip'" in said
    assert not [line for line in lines if line.startswith("/")]


def test_the_whole_run_and_one_layer_with_mounted_configuration(lake: Mounted, tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, lake.raw, dirs_exist_ok=True)
    code, said = lake.container().run()
    assert code == 0, said
    assert "Warning: curated.dim_batch" in said  # the sample is old; nothing else is to be warned of
    assert "WARNING" not in said
    assert lake.rows("marts.mart_bioreactor_timeline") == 71_991
    configuration = tmp_path / "conf"
    shutil.copytree(PROJECT / "conf", configuration)
    (configuration / "local" / "parameters_marts.yml").write_text("timeline: { tags: [ph] }\n")
    container = lake.container(f"{configuration}:/etc/lake:ro")
    code, said = container.run("kedro", "run", "--pipeline", "marts", "--conf-source", "/etc/lake")
    assert code == 0, said
    assert 0 < lake.rows("marts.mart_bioreactor_timeline") < 71_991


def test_a_secret_that_cannot_be_read_is_a_mistake_of_whoever_mounts_it(lake: Mounted) -> None:
    container = lake.container(BIOREACTOR_LAKE_POSTGRES_URL_FILE="/run/secrets/other")
    code, said = container.run("kedro", "run")
    assert code == 2
    assert "BIOREACTOR_LAKE_POSTGRES_URL_FILE names /run/secrets/other" in said


@pytest.mark.parametrize("moment", ["Starting", "Wrote staging.stg_bioreactor", "Published marts.mart_bioreactor_over"])
def test_sigterm_ends_a_run_cleanly_within_ten_seconds(lake: Mounted, moment: str) -> None:
    fill(lake.raw, batches=60)
    container = lake.container()
    process = container.start("sh", "-c", "echo Starting; exec kedro run")
    assert process.stdout
    for line in process.stdout:
        if moment in line:
            break
    time.sleep(0.2)
    began = time.monotonic()
    container.signal("TERM")
    rest = drain(process.stdout)
    code = process.wait(timeout=30)
    assert time.monotonic() - began < 10
    assert code == 143, "".join(rest)
    if moment == "Starting":
        return
    events = lake.events()
    assert events[-1] == ("ABORT", "__default__")
    assert ("COMPLETE", "__default__") not in events
    assert lake.rows("marts.mart_bioreactor_timeline") == 0  # half a mart is none
    if moment.startswith("Published"):
        code, said = lake.container().run()
        assert code == 0, said
        assert lake.rows("marts.mart_bioreactor_timeline") > 700_000


def fill(folder: Path, batches: int) -> None:
    """Batches of the sample, again and again under other names."""
    files = sorted(SAMPLE.glob("*.parquet"))
    with duckdb.connect() as connection:
        for number in range(batches):
            connection.execute(
                f"COPY (SELECT * REPLACE ('C-{number:04d}' AS batch_id) FROM "
                f"read_parquet('{files[number % len(files)]}')) TO '{folder}/C-{number:04d}.parquet' (FORMAT parquet)"
            )


def drain(lines: Iterator[str]) -> list[str]:
    """What a process goes on to say, read as it comes, so that a full pipe holds nobody up."""
    found: list[str] = []
    threading.Thread(target=lambda: found.extend(lines), daemon=True).start()
    return found
