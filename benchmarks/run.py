"""Compare `kedro run` with a plain script and with the least that any Kedro run costs.

    python benchmarks/run.py [--batches 200] [--repeat 3] [--check]

Everything happens in a temporary folder: raw files, a copy of the project, the warehouses, and a Postgres server of
its own. Runs are interleaved (A B A B), and each starts from nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import psycopg

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from bioreactor_lake.postgres import placement, postmaster  # noqa: E402
from bioreactor_lake.postgres.embedded import EmbeddedServer  # noqa: E402

KEDRO = [sys.executable, "-m", "kedro"]
HERE = Path(__file__).resolve().parent
PROJECT_FILES = ("pyproject.toml", ".telemetry", "src", "conf")


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
        values = [getattr(cost, name) for cost in self.costs]
        return max(values) if name == "peak" else median(values)


@dataclass
class Bench:
    """The folder and the server that everything is measured in."""

    folder: Path
    url: str
    postmaster: int

    @property
    def warehouse(self) -> Path:
        return self.folder / "lake.duckdb"

    def lake(self, raw: Path, project: Path, database: str = "kedro") -> Cost:
        """A full build by `kedro run`."""
        variables = {"RAW": str(raw), "WAREHOUSE": str(self.warehouse), "POSTGRES_URL": self._fresh(database)}
        return self._measure([*KEDRO, "run"], project, {f"BIOREACTOR_LAKE_{name}": v for name, v in variables.items()})

    def script(self, raw: Path) -> Cost:
        """A full build by the plain script."""
        command = [sys.executable, str(HERE / "plain_script.py"), str(raw), str(self.folder / "plain.duckdb")]
        return self._measure([*command, self._fresh("plain")], self.folder, {})

    def floor(self) -> Cost:
        """A run of the stock one-node project."""
        return self._measure([*KEDRO, "run"], self.folder / "floor", {})

    def check(self) -> None:
        """Compare the tables of the last two builds, in a process of its own.

        A child's peak begins at what its parent held: this one must stay small.
        """
        from compare import differences

        one, other = (self.warehouse, self.address("kedro")), (self.folder / "plain.duckdb", self.address("plain"))
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            print("\n".join(pool.submit(differences, one, other).result()) or "Both made the same tables.")

    def address(self, database: str) -> str:
        return f"{self.url.rpartition('/')[0]}/{database}"

    def _fresh(self, database: str) -> str:
        for name in ("lake.duckdb", "plain.duckdb"):
            if (database == "plain") == (name == "plain.duckdb"):
                (self.folder / name).unlink(missing_ok=True)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {database}")
            connection.execute(f"CREATE DATABASE {database}")
            connection.execute("CHECKPOINT")
        return self.address(database)

    def _measure(self, command: list[str], cwd: Path, variables: dict[str, str]) -> Cost:
        with (self.folder / "output.log").open("w+b") as output:
            server, started = self._server_seconds(), time.perf_counter()
            process = subprocess.Popen(
                command, cwd=cwd, env={**os.environ, "DO_NOT_TRACK": "1", **variables}, stdout=output, stderr=output
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
    """The folder with copies of both projects, and the server."""
    with tempfile.TemporaryDirectory(prefix="lake-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # so that a server of another user can enter when this runs as root
        for project in ("project", "limited"):
            for part in PROJECT_FILES:
                source, target = ROOT / part, folder / project / part
                target.parent.mkdir(exist_ok=True)
                if source.is_dir():
                    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(source, target)
        shutil.copytree(HERE / "floor_project", folder / "floor", ignore=shutil.ignore_patterns("__pycache__"))
        table = "import duckdb; duckdb.connect('floor.duckdb').execute('CREATE TABLE numbers AS SELECT 1 AS number')"
        subprocess.run([sys.executable, "-c", table], cwd=folder / "floor", check=True)
        server = EmbeddedServer(folder / "postgres")
        with server as url:
            place = placement.existing(server.folder)
            running = postmaster.find(place.pgdata) if place else None
            yield Bench(folder, url, running.pid if running else 0)
        if place and place.pgdata.exists():
            shutil.rmtree(place.pgdata)


def limit_memory(project: Path, limit: str) -> None:
    """Configure a memory limit in a copy of the project."""
    path = project / "conf" / "base" / "globals.yml"
    text = path.read_text()
    if "memory_limit: null" not in text:
        sys.exit("conf/base/globals.yml has no `memory_limit: null` to change.")
    path.write_text(text.replace("memory_limit: null", f"memory_limit: {limit}"))


def simulate(batches: int, readings: int, out: Path) -> Path:
    """Raw files."""
    command = [*KEDRO, "lake", "simulate", "--batches", str(batches), "--readings", str(readings), "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "DO_NOT_TRACK": "1"})
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=200, help="batches of --readings each; 200 make 20 M rows")
    parser.add_argument("--readings", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--memory-limit-mb", type=int, default=1000)
    parser.add_argument("--raw", type=Path, help="a folder of raw files instead of simulated ones")
    parser.add_argument("--check", action="store_true", help="compare all rows of both; takes minutes")
    options = parser.parse_args()
    with prepared() as bench:
        tiny = simulate(1, 1000, bench.folder / "tiny")
        raw = options.raw or simulate(options.batches, options.readings, bench.folder / "raw")
        raw = raw.resolve()
        project, limited = bench.folder / "project", bench.folder / "limited"
        limit_memory(limited, f"{options.memory_limit_mb}MB")
        lake, script, small, floor = (Measured() for _ in range(4))
        for compile_first in (lambda: bench.lake(tiny, project), lambda: bench.lake(tiny, limited), bench.floor):
            compile_first()
        for _ in range(options.repeat):
            small.costs.append(bench.lake(tiny, project))
            floor.costs.append(bench.floor())
            script.costs.append(bench.script(raw))
            lake.costs.append(bench.lake(raw, project))
        if options.check:
            bench.check()
        bounded = Measured([bench.lake(raw, limited)])
        report(lake, script, small, floor, bounded, options.memory_limit_mb)


def report(lake: Measured, script: Measured, small: Measured, floor: Measured, bounded: Measured, limit: int) -> None:
    """Print what was measured, then the ratios beside their targets."""
    print(f"\n{'':<22}{'wall s':>9}{'CPU s':>9}{'server s':>10}{'peak MB':>9}")
    rows = {"kedro run": lake, "plain script": script, "kedro run, 1 file": small, "one-node kedro run": floor}
    for name, measured in {**rows, f"kedro run, {limit} MB": bounded}.items():
        cells = [measured.of(cost) for cost in ("wall", "cpu", "server", "peak")]
        print(f"{name:<22}{cells[0]:>9.2f}{cells[1]:>9.2f}{cells[2]:>10.2f}{cells[3]:>9.0f}")
    allowed = 1.25 * script.of("wall") + 1.2 * floor.of("wall")
    ratios = [
        ("full build / script", lake.of("wall") / script.of("wall"), None),
        ("full build / (1.25 x script + 1.2 x floor)", lake.of("wall") / allowed, 1.0),
        ("the same in CPU seconds, the server's too", _cpu(lake) / (1.25 * _cpu(script) + 1.2 * _cpu(floor)), None),
        ("start-up (1 small file) / floor", small.of("wall") / floor.of("wall"), None),
        ("peak memory / script", lake.of("peak") / script.of("peak"), 1.3),
        (f"peak at memory_limit {limit} MB / unlimited", bounded.of("peak") / lake.of("peak"), None),
        ("the same / (limit + peak of 1 file)", bounded.of("peak") / (limit + small.of("peak")), 1.0),
    ]
    print(f"\n{'':<46}{'ratio':>7}{'target':>9}")
    for name, ratio, target in ratios:
        verdict = "" if target is None else f"{'<= ' + format(target, 'g'):>9}  {'ok' if ratio <= target else 'MISSED'}"
        print(f"{name:<46}{ratio:>7.2f}{verdict}")


def _cpu(measured: Measured) -> float:
    return measured.of("cpu") + measured.of("server")


if __name__ == "__main__":
    main()
