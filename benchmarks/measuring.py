"""Running things in a folder of their own, and what they cost."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psycopg

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from bioreactor_lake.postgres import placement, postmaster  # noqa: E402
from bioreactor_lake.postgres.embedded import EmbeddedServer  # noqa: E402

HERE = Path(__file__).resolve().parent
KEDRO = [sys.executable, "-m", "kedro"]
PROJECT_FILES = ("pyproject.toml", ".telemetry", "src", "conf")
# Each project imports its own sources, whatever this process was told to import, and they are compiled once.
NOT_INHERITED = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
PROJECTS = ("project", "limited", "changed", "embedded")


@dataclass
class Cost:
    """What one process took: seconds of wall and processor, the server's processor seconds, peak MB."""

    wall: float
    cpu: float
    server: float
    peak: float


@dataclass
class Measured:
    """Repeated costs of one thing; medians, and the highest peak."""

    costs: list[Cost] = field(default_factory=list)

    def of(self, name: str) -> float:
        """Wall, cpu (the server's too), server or peak."""
        if not self.costs:
            return float("nan")
        if name == "peak":
            return max(cost.peak for cost in self.costs)
        if name == "cpu":
            return median(cost.cpu + cost.server for cost in self.costs)
        return median(getattr(cost, name) for cost in self.costs)


@dataclass
class Lake:
    """Raw files with a warehouse and a database of their own."""

    raw: Path
    warehouse: Path
    url: str

    def start_over(self, admin: str) -> None:
        """Drop everything but the raw files."""
        self.warehouse.unlink(missing_ok=True)
        name = self.url.rpartition("/")[2]
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name}")
            connection.execute(f"CREATE DATABASE {name}")
            connection.execute("CHECKPOINT")


@dataclass
class Bench:
    """The folder and the server that everything is measured in."""

    folder: Path
    url: str
    postmaster: int

    def lake(self, raw: Path, name: str) -> Lake:
        """A lake over raw files that has nothing yet."""
        lake = Lake(raw, self.folder / f"{name}.duckdb", f"{self.url.rpartition('/')[0]}/{name}")
        lake.start_over(self.url)
        return lake

    def kedro(self, lake: Lake, project: str = "project", arguments: Sequence[str] = (), **more: str) -> Cost:
        """`kedro run` in one of the copies of the project; `embedded` publishes to its own server."""
        variables = {"RAW": str(lake.raw), "WAREHOUSE": str(lake.warehouse), "POSTGRES_URL": lake.url}
        if project == "embedded":
            variables["POSTGRES_URL"] = ""
        environment = {f"BIOREACTOR_LAKE_{name}": value for name, value in variables.items()}
        return self._measure([*KEDRO, "run", *arguments], self.folder / project, environment | more)

    def script(self, lake: Lake, *what: str) -> Cost:
        """The plain script."""
        command = [sys.executable, str(HERE / "plain_script.py"), str(lake.raw), str(lake.warehouse), lake.url, *what]
        return self._measure(command, self.folder, {})

    def floor(self) -> Cost:
        """A run of the stock one-node project."""
        return self._measure([*KEDRO, "run"], self.folder / "floor", {})

    def _measure(self, command: list[str], cwd: Path, variables: dict[str, str]) -> Cost:
        with (self.folder / "output.log").open("w+b") as output:
            inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
            server, started = self._server_seconds(), time.perf_counter()
            process = subprocess.Popen(
                command, cwd=cwd, env={**inherited, "DO_NOT_TRACK": "1", **variables}, stdout=output, stderr=output
            )
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                output.seek(0)
                sys.exit(f"{' '.join(command)} failed:\n{output.read().decode(errors='replace')[-4000:]}")
        peak = usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
        return Cost(wall, usage.ru_utime + usage.ru_stime, self._server_seconds() - server, peak)

    def _server_seconds(self) -> float:
        """Processor seconds of the server's sessions that have ended; only Linux tells."""
        stat = Path(f"/proc/{self.postmaster}/stat")
        if not stat.exists():
            return 0.0
        time.sleep(0.2)  # until the last session is counted
        user, system = stat.read_text().rpartition(")")[2].split()[13:15]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def prepared() -> Iterator[Bench]:
    """The folder with copies of the projects, and the server."""
    with tempfile.TemporaryDirectory(prefix="lake-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # so that a server of another user can enter when this runs as root
        for project in PROJECTS:
            for part in PROJECT_FILES:
                source, target = ROOT / part, folder / project / part
                target.parent.mkdir(exist_ok=True)
                if source.is_dir():
                    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(source, target)
            compileall.compile_dir(folder / project / "src", quiet=1)
        shutil.copytree(HERE / "floor_project", folder / "floor", ignore=shutil.ignore_patterns("__pycache__"))
        table = "import duckdb; duckdb.connect('floor.duckdb').execute('CREATE TABLE numbers AS SELECT 1 AS number')"
        subprocess.run([sys.executable, "-c", table], cwd=folder / "floor", check=True)
        server = EmbeddedServer(folder / "postgres")
        try:
            with server as url:
                place = placement.existing(server.folder)
                running = postmaster.find(place.pgdata) if place else None
                yield Bench(folder, url, running.pid if running else 0)
        finally:
            for data in (server.folder, folder / "embedded" / "data" / "postgres"):
                place = placement.existing(data)
                if place and place.pgdata.exists():
                    shutil.rmtree(place.pgdata)  # for root it lies elsewhere


def replace_in(project: Path, file: str, old: str, new: str) -> None:
    """Change a file of a copy of the project."""
    path = project / file
    text = path.read_text()
    if old not in text:
        sys.exit(f"{file} has no {old!r} to change.")
    path.write_text(text.replace(old, new))
