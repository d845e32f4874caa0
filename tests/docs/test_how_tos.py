"""Every command of the how-tos is run in a copy of the project, and the data dictionary held against what is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import psycopg
import pytest
from test_readme import COMMANDS as OF_THE_README
from test_readme import PROJECT, carry_out, copy_project

from bioreactor_lake.postgres.embedded import EmbeddedServer

pytestmark = pytest.mark.slow
PAGES = {path.name: path.read_text() for path in sorted(PROJECT.glob("docs/how-to/*.md"))}
# Started and looked at by other tests.
ELSEWHERE = (
    "kedro viz ", "jupyter lab", "python -m http.server", "mkdocs build", "kedro lake dictionary --format json",
)  # fmt: skip


def blocks(page: str) -> list[str]:
    return [line.strip() for line in re.findall(r"(?<=\n) {4}(\S.*)\n", unfenced(page))]


def spans(page: str) -> list[str]:
    return re.findall(r"`(kedro lake [^`]+)`", unfenced(page))


def unfenced(page: str) -> str:
    return re.sub(r"```.*?```", "", page, flags=re.DOTALL)


def fenced(page: str, language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)
    return found


class Project:
    """The copy, in which a run has been made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ours = ("BIOREACTOR_LAKE", "PYTHONPATH")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.environment = environment | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DO_NOT_TRACK": "1",
        }
        copy_project(folder)
        self.run("kedro run")

    def run(self, command: str) -> str:
        done = carry_out(command, self.folder, self.environment)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    folder = Path(tempfile.mkdtemp(prefix="lake-how-to-"))
    folder.chmod(0o755)  # as root the server runs as another user, who must be able to enter
    yield Project(folder / "project")
    shutil.rmtree(folder)


def test_every_command_of_the_how_tos(project: Project) -> None:
    suite = project.folder / "conf/local/suites/stg_bioreactor.yml"
    suite.parent.mkdir(parents=True)
    suite.write_text(fenced("change.md", "yaml"))
    said = {command for page in PAGES.values() for command in blocks(page) + spans(page)}
    assert len(said) > 15
    wanted = sorted(command for command in said - set(OF_THE_README) if not command.startswith(ELSEWHERE))
    # Needs a Postgres of its own; the README's test and those of roles run it.
    wanted.remove("kedro lake roles apply")
    answers = {command: project.run(command) for command in wanted}
    assert "B-0006" in next(answer for command, answer in answers.items() if "'titer'" in command)
    assert (project.folder / "data/reports/first_look.html").stat().st_size > 100_000
    assert (project.folder / "data/reports/dictionary/marts.md").exists()


def test_the_notebook_of_the_how_to(project: Project) -> None:
    script = project.folder / "notebooks/example.ipy"
    script.write_text(fenced("notebooks.md", "python"))
    shown = project.run("cd notebooks && ipython example.ipy")
    assert "lowest" in shown
    assert "B-0006" in shown


def test_the_dictionary_says_what_is_there(project: Project) -> None:
    entries = {entry["name"]: entry for entry in json.loads(project.run("kedro lake dictionary --format json"))}
    told = {name: [(one["name"], one["kind"]) for one in entry["columns"]] for name, entry in entries.items()}
    found = {}
    with duckdb.connect(project.folder / "data/warehouse/bioreactor.duckdb", read_only=True) as connection:
        for schema, table, column, kind in connection.sql(
            "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal "
            "AND schema_name NOT IN ('lake_state', 'quality') AND table_name NOT LIKE 'parquet%' "
            "ORDER BY column_index"
        ).fetchall():
            found.setdefault(f"{schema}.{table}", []).append((column, kind))
    with EmbeddedServer(project.folder / "data/postgres") as url, psycopg.connect(url) as connection:
        for table, column, kind in connection.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'marts' "
            "AND table_name LIKE 'mart%' AND table_name !~ '_p[0-9]|__' ORDER BY ordinal_position"
        ).fetchall():
            found.setdefault(f"marts.{table}", []).append((column, kind))
    assert set(told) <= set(found)
    assert {name: found[name] for name in told} == told
    # And what is said of origins is what a trace finds.
    overview = {one["name"]: one for one in entries["marts.mart_bioreactor_overview"]["columns"]}
    trace = json.loads(project.run("kedro lake trace mart_bioreactor_overview.avg_value --format json"))
    (origin,) = overview["avg_value"]["origins"]
    assert (origin["table"], origin["column"]) == (trace["inputs"][0]["table"], trace["inputs"][0]["column"])
