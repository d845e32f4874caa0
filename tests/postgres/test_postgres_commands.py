"""`lake postgres` and `lake psql`."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from postgres_client import ENVIRONMENT

from bioreactor_lake.cli.postgres import postgres, psql, without_password
from bioreactor_lake.postgres.embedded import EmbeddedServer


@pytest.fixture
def project(folder: Path, tmp_path: Path) -> Path:
    """A Kedro project whose data/postgres is the folder of the tests."""
    (tmp_path / "data").mkdir()
    (tmp_path / "pyproject.toml").write_text(
        "[tool.kedro]\npackage_name = 'x'\nproject_name = 'x'\nkedro_init_version = '1'\n"
    )
    (tmp_path / "data" / "postgres").symlink_to(folder)
    return tmp_path


def command(name: str, *arguments: str, project: Path, **environment: str) -> subprocess.Popen[str]:
    code = f"from bioreactor_lake.cli.postgres import {name}; {name}()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=project,
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_psql_passes_arguments_on_and_returns_the_exit_code(project: Path) -> None:
    asked = command("psql", "-At", "-c", "select 6 * 7", project=project)
    assert asked.communicate(timeout=120) == ("42\n", "")
    assert asked.returncode == 0
    wrong = command("psql", "-v", "ON_ERROR_STOP=1", "-c", "select nothing", project=project)
    assert "nothing" in wrong.communicate(timeout=120)[1]
    assert wrong.returncode == 1


def test_psql_uses_the_server_of_the_environment(project: Path, folder: Path) -> None:
    with EmbeddedServer(folder) as url:
        (project / "data" / "postgres").unlink()  # so that it cannot be the embedded one of the project
        theirs = url.replace("postgresql://", "postgresql+psycopg2://")
        asked = command(
            "psql", "-Atc", "select current_database()", project=project, BIOREACTOR_LAKE_POSTGRES_URL=theirs
        )
        assert asked.communicate(timeout=120) == ("lake\n", "")
        assert not (project / "data" / "postgres").exists()


@pytest.mark.parametrize(
    ("url", "shown", "password"),
    [
        ("postgresql://u:p%40s:x@h:5432/d", "postgresql://u@h:5432/d", "p@s:x"),
        ("postgresql+psycopg://u:p@[::1]:5/d?sslmode=require", "postgresql://u@[::1]:5/d?sslmode=require", "p"),
        ("postgres://h/d?user=u&password=p%26q", "postgres://h/d?user=u", "p&q"),
        ("postgresql://u@h1:1,h2:2/d", "postgresql://u@h1:1,h2:2/d", None),
    ],
)
def test_no_password_is_on_the_command_line(url: str, shown: str, password: str | None) -> None:
    assert without_password(url) == (shown, password)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_postgres_keeps_the_server_up_until_it_is_told_to_end(project: Path, folder: Path, ending: int) -> None:
    secret = (folder / "password").read_text().strip()
    kept = command("postgres", *(["--show-password"] if ending == signal.SIGTERM else []), project=project)
    assert kept.stdout
    shown = [kept.stdout.readline() for _ in range(5)]
    assert EmbeddedServer(folder).running_url()
    kept.send_signal(ending)
    rest, errors = kept.communicate(timeout=120)
    assert (kept.returncode, errors) == (0, "")
    assert EmbeddedServer(folder).running_url() is None
    text = "".join(shown) + rest
    assert str(folder / "password") in text
    assert (secret in text) == (ending == signal.SIGTERM)


def test_errors_are_said_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(psql, ["-c", "select 1"])
    assert (outcome.exit_code, "Kedro project" in outcome.output) == (2, True)
    monkeypatch.setenv("BIOREACTOR_LAKE_POSTGRES_URL", "postgresql://u:secret@h/d")
    outcome = CliRunner().invoke(postgres, [])
    assert outcome.exit_code == 2
    assert "secret" not in outcome.output
