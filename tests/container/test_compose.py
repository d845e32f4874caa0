"""compose.yaml: what it promises of every service, its schema, and its small form brought up."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests.container.image import PROJECT, build, make_postgres, missing

COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {"pipeline", "bucket", "superset-init", "superset-deploy"}
OURS = {"pipeline", "scheduler", "dagster", "dagster-daemon"}


def test_without_a_profile_there_is_the_small_platform() -> None:
    assert {name for name, service in SERVICES.items() if "profiles" not in service} == {"pipeline", "postgres"}
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["dagster"]} == {
        "dagster",
        "dagster-daemon",
    }


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_pinned_limited_and_looked_after(name: str) -> None:
    service = SERVICES[name]
    assert not re.search(r":latest$|^[^:]+$", service["image"])
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert name in ONCE or service["healthcheck"]["test"]
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
    if name in OURS:
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


def test_whatever_runs_the_pipeline_has_the_landing_zone() -> None:
    for name in OURS:
        landing = [one for one in SERVICES[name]["volumes"] if str(one).endswith(":/data/lake/landing")]
        assert landing == ["${BIOREACTOR_LAKE_LANDING_FOLDER:-landing}:/data/lake/landing"], name
        assert SERVICES[name]["environment"]["BIOREACTOR_LAKE_LANDING"].endswith(":-/data/lake/landing}")
    assert "landing" in COMPOSE["volumes"]


def test_no_password_is_in_a_file_of_the_project() -> None:
    assert all(secret == {"file": f".secrets/{name}"} for name, secret in COMPOSE["secrets"].items())
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            assert not re.search("PASSWORD|SECRET|KEY", variable) or str(value).startswith("/run/secrets/"), variable
    for name in (".env", ".secrets/postgres_password"):
        assert subprocess.run(["git", "check-ignore", "-q", name], cwd=PROJECT, check=False).returncode == 0


def test_make_env_makes_passwords_once(tmp_path: Path) -> None:
    command = [sys.executable, str(PROJECT / "deploy/compose/make_env.py"), str(tmp_path)]
    old = os.umask(0o002)
    try:
        subprocess.run(command, check=True, capture_output=True)
    finally:
        os.umask(old)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".secrets").stat().st_mode & 0o777 == 0o700
    made = {path.name: path.read_text() for path in (tmp_path / ".secrets").iterdir()}
    assert set(made) == set(COMPOSE["secrets"])
    assert made["postgres_password"].strip() in made["postgres_url"]
    assert len({text for name, text in made.items() if "user" not in name}) == len(made) - 1
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "nothing was changed" in again.stdout
    assert {path.name: path.read_text() for path in (tmp_path / ".secrets").iterdir()} == made


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm to get the schema of compose files with")
def test_it_is_valid_against_the_compose_schema(tmp_path: Path) -> None:
    subprocess.run(["npm", "pack", "--silent", "dclint@3.1.0"], cwd=tmp_path, check=True, capture_output=True)
    with tarfile.open(tmp_path / "dclint-3.1.0.tgz") as package:
        file = package.extractfile("package/schemas/compose.schema.json")
        assert file
        schema = json.load(file)
    schema.pop("$schema")  # an address that nobody resolves here
    jsonschema.Draft7Validator(schema).validate(COMPOSE)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate({"services": {"one": {"imagge": "x"}}})


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_the_small_platform_comes_up(tmp_path: Path) -> None:
    built = build(tmp_path)
    make_postgres(SERVICES["postgres"]["image"])
    subprocess.run(["podman", "tag", built, "localhost/bioreactor_lake:0.1.0"], check=True)
    project = tmp_path / "project"
    project.mkdir()
    for name in ("compose.yaml", "deploy", "conf", "data", "Dockerfile"):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, project / name)
    subprocess.run([sys.executable, "deploy/compose/make_env.py"], cwd=project, check=True, capture_output=True)
    # Containers here may not be given more files than the machine has, and there is no systemd.
    settings = tmp_path / "containers.conf"
    settings.write_text(
        '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
        '[engine]\ncgroup_manager = "cgroupfs"\nruntime = "runc"\n'
    )
    environment = os.environ | {"CONTAINERS_CONF": str(settings), "POSTGRES_PORT": "15432"}

    def compose(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "podman_compose", *arguments]
        return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)

    try:
        up = compose("up", "--detach", "--no-build", "postgres")
        assert up.returncode == 0, up.stderr
        # This podman does not wait for a service to be healthy; it can be asked.
        check = ["podman", "healthcheck", "run", "bioreactor-lake_postgres_1"]
        deadline = time.monotonic() + 60
        while subprocess.run(check, env=environment, capture_output=True, check=False).returncode != 0:
            assert time.monotonic() < deadline, compose("logs", "postgres").stdout
            time.sleep(1)
        full = compose("run", "--rm", "pipeline")
        assert full.returncode == 0, full.stdout + full.stderr
        assert "6 batches in the marts" in full.stdout
        layer = compose("run", "--rm", "pipeline", "kedro", "run", "--pipeline", "marts")
        assert layer.returncode == 0, layer.stdout
        assert "Nothing new" in layer.stdout
        onwards = compose("run", "--rm", "pipeline", "kedro", "run", "--from-inputs", "dim_batch")
        assert onwards.returncode == 0, onwards.stdout
        assert "Nothing new" in onwards.stdout
        password = (project / ".secrets" / "postgres_password").read_text().strip()
        log = compose("logs", "postgres")
        assert "ready to accept connections" in log.stdout + log.stderr
        assert password not in full.stdout + log.stdout + log.stderr
    finally:
        compose("down", "--volumes")
