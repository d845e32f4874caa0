"""`kedro package`: the wheel and its configuration run without the project."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.container.image import PROJECT
from tests.increments.lake import Lake, environment_of, readings


@pytest.mark.slow
def test_the_package_runs_without_the_project(tmp_path: Path, server: str) -> None:
    project, site, folder = tmp_path / "project", tmp_path / "site", tmp_path / "elsewhere"
    for name in ("src", "conf"):
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".telemetry"):
        shutil.copy(PROJECT / name, project / name)
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"DO_NOT_TRACK": "1"}
    packaged = subprocess.run(
        [sys.executable, "-m", "kedro", "package"],
        cwd=project,
        env=outside,
        capture_output=True,
        text=True,
        check=False,
    )
    assert packaged.returncode == 0, packaged.stdout + packaged.stderr
    (wheel,) = (project / "dist").glob("*.whl")
    (configuration,) = (project / "dist").glob("*.tar.gz")
    zipfile.ZipFile(wheel).extractall(site)
    folder.mkdir()
    lake = Lake(tmp_path / "lake", server)
    lake.put("a.parquet", readings("B-1", 1))
    outside |= environment_of(lake) | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-P", "-m", "bioreactor_lake", "--conf-source", str(configuration)]
    done = subprocess.run(command, cwd=folder, env=outside, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 batches in the marts" in done.stdout
    lake.drop()
