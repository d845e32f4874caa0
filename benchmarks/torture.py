"""Kill `kedro run` again and again while people read the marts, then compare what is left with a full build.

    python benchmarks/torture.py [--kills 200] [--seed 1]

Raw files, warehouse and Postgres server are private. Between runs raw files come, change and go, at times one changes
during a run; each run is killed (SIGKILL) at a random moment of a random step, or ends first. Every state of the raw
files is one that a complete run could publish, and every reading says in its value and its site which version of its
batch it belongs to. A reader looks at both marts all the while; wrong is a sighting that is no such state as a whole,
that is older than the one before, or that finds no mart where there was one.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from bioreactor_lake.postgres import placement  # noqa: E402
from bioreactor_lake.postgres.embedded import EmbeddedServer  # noqa: E402

START, MINUTES, BUCKET = datetime(2026, 1, 1), 5, timedelta(minutes=5)
TAGS = ("temperature", "ph", "do", "pressure", "agitation", "glucose")
STEPS = 9  # what a run writes, one line of its log each
ACCEPTED = (
    "SELECT path, content_hash, schema_id, rules_hash, batch_ids, rows_accepted, rows_rejected, ts_min, ts_max "
    "FROM raw.files WHERE status = 'accepted' ORDER BY path"
)
TABLES = ("raw.bioreactor", "staging.stg_bioreactor", "staging.rejected_readings", "curated.dim_batch",
          "intermediate.int_bioreactor_downsample_5m", "curated.fact_bioreactor_batch_stats")  # fmt: skip
MARTS = {
    "mart_bioreactor_overview": "min(least(min_value, avg_value)), max(greatest(max_value, avg_value)), "
    "max(stddev_value), min(site), max(site), count(*), sum(reading_count), min(batch_reading_count), "
    "max(batch_reading_count), min(tag_count), max(tag_count)",
    "mart_bioreactor_timeline": "min(least(min_value, avg_value, last_value)), "
    "max(greatest(max_value, avg_value, last_value)), min(site), max(site), count(*), sum(reading_count)",
}
State = dict[str, int]
"""Version by batch."""


def size_of(version: int) -> tuple[int, int]:
    """Tags and buckets of a version: versions differ in how many rows they have."""
    return 2 + version % (len(TAGS) - 1), 40 + version % 37


def expected(mart: str, version: int) -> tuple[object, ...]:
    """What `MARTS` finds of a batch of that version: one reading a minute."""
    tags, buckets = size_of(version)
    readings, value, site = tags * buckets * MINUTES, float(version), f"v{version}"
    if mart == "mart_bioreactor_overview":
        return value, value, 0.0, site, site, tags, readings, readings, readings, tags, tags
    return value, value, site, site, tags * buckets, readings


class Folder:
    """The raw files. Half of the tags of batches with an even number lie in a file that three of them share."""

    def __init__(self, path: Path, chance: random.Random) -> None:
        self.path, self.chance = path, chance
        self.state: State = {}
        self.states: list[State] = []
        self.version = self.number = 0

    def change(self) -> bool:
        """The next state; whether files went away."""
        after = dict(self.state)
        kind = self.chance.choice(["all"] + ["some"] * 5 + ["add"] * 3 + ["remove"] * 3 + ["nothing"])
        if len(after) < 10 or kind == "add":
            for _ in range(max(10 - len(after), self.chance.randint(1, 3))):
                self.number += 1
                after[f"B-{self.number:04d}"] = 0
        elif kind == "remove" or len(after) > 24:
            for batch in self.chance.sample(sorted(after), self.chance.randint(1, 3)):
                del after[batch]
        count = {"all": len(after), "some": self.chance.randint(1, 4)}.get(kind, 0)
        for batch in self.chance.sample(sorted(after), count):
            after[batch] = 0
        self.enter(after)
        return kind in ("remove", "all")

    def change_one_file(self) -> None:
        """A state that is one file away, so that a run meanwhile sees this one or the one before, never a third."""
        alone = [batch for batch in sorted(self.state) if int(batch[2:]) % 2]
        if alone:
            self.enter(self.state | {self.chance.choice(alone): 0})

    def enter(self, after: State) -> None:
        for batch in [batch for batch, version in after.items() if not version]:
            self.version += 1
            after[batch] = self.version
        before, self.state = self.state, after
        self.states.append(dict(after))
        for path, batches in self.files(after).items():
            if {b: after[b] for b in batches} != {b: before.get(b) for b in batches} or not (self.path / path).exists():
                self.write(path, batches)
        for path in set(self.files(before)) - set(self.files(after)):
            (self.path / path).unlink()

    def files(self, state: State) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {f"{batch}.parquet": [batch] for batch in state}
        for batch in state:
            if int(batch[2:]) % 2 == 0:
                found.setdefault(f"shared/{int(batch[2:]) // 6}.parquet", []).append(batch)
        return found

    def write(self, path: str, batches: list[str]) -> None:
        rows: list[tuple[object, ...]] = []
        for batch in batches:
            version = self.state[batch]
            tags, buckets = size_of(version)
            mine = range(tags)
            if int(batch[2:]) % 2 == 0:
                mine = range(0, tags, 2) if path.startswith("shared") else range(1, tags, 2)
            times = [START + timedelta(minutes=minute) for minute in range(buckets * MINUTES)]
            rows += [(batch, "BR-1", f"v{version}", ts, TAGS[tag], float(version)) for tag in mine for ts in times]
        names = ("batch_id", "equipment_id", "site", "ts", "tag", "value")
        target = self.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}")
        pq.write_table(pa.table(dict(zip(names, zip(*rows, strict=True), strict=True))), part)
        part.replace(target)


class Reader(threading.Thread):
    """Looks at both marts, one statement each, and keeps what cannot be."""

    def __init__(self, url: str, folder: Folder, seed: int) -> None:
        super().__init__(daemon=True)
        self.url, self.folder, self.chance = url, folder, random.Random(seed)
        self.done = threading.Event()
        self.looks = 0
        self.newest = dict.fromkeys(MARTS, -1)
        self.sighted: dict[str, set[int]] = {mart: set() for mart in MARTS}
        self.wrong: list[str] = []

    def run(self) -> None:
        try:
            with psycopg.connect(self.url, autocommit=True) as connection:
                while not self.done.wait(0.02):
                    # Some readers stay: their locks are in the way of a swap.
                    if self.chance.random() < 0.05:
                        with connection.transaction():
                            self.look(connection)
                            self.done.wait(self.chance.uniform(0, 2))
                    else:
                        self.look(connection)
        except Exception as error:
            self.wrong.append(f"the reader was refused: {error!r}")

    def look(self, connection: psycopg.Connection) -> None:
        for mart, found in MARTS.items():
            try:
                with connection.transaction():
                    rows = connection.execute(f"SELECT batch_id, {found} FROM marts.{mart} GROUP BY 1").fetchall()
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                if self.newest[mart] >= 0:
                    self.wrong.append(f"{mart} is gone")
                continue
            self.looks += 1
            if problem := self.problem(mart, {batch: tuple(facts) for batch, *facts in rows}):
                self.wrong.append(f"{mart}: {problem}")

    def problem(self, mart: str, batches: dict[str, tuple]) -> str | None:
        for batch, facts in batches.items():
            if facts != expected(mart, int(facts[0])):
                return f"{batch} is mixed or lacks rows: {facts}, not {expected(mart, int(facts[0]))}"
        state = {batch: int(facts[0]) for batch, facts in batches.items()}
        oldest = max(self.newest[mart], 0)
        for index in range(oldest, len(self.folder.states)):
            if self.folder.states[index] == state:
                self.newest[mart] = index
                self.sighted[mart].add(index)
                return None
        return f"no state of the raw files since number {oldest}: {state}"


class Lake:
    """A warehouse and a database of its own over the raw folder."""

    def __init__(self, home: Path, name: str, server: str, raw: Path) -> None:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        self.url = f"{server.rpartition('/')[0]}/{name}"
        self.warehouse = home / name / "lake.duckdb"
        self.environment = os.environ | {
            "BIOREACTOR_LAKE_RAW": str(raw), "BIOREACTOR_LAKE_WAREHOUSE": str(self.warehouse),
            "BIOREACTOR_LAKE_POSTGRES_URL": self.url, "DO_NOT_TRACK": "1", "COLUMNS": "200",
        }  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "kedro", "run", *arguments], cwd=ROOT, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *arguments: str) -> None:
        process = self.start(*arguments)
        said, _ = process.communicate()
        if process.returncode:
            sys.exit(f"An undisturbed run ended with {process.returncode}:\n{said}")

    def tables(self) -> dict[str, pd.DataFrame]:
        with duckdb.connect(self.warehouse, read_only=True) as connection:
            found = {table: connection.execute(f"SELECT * FROM {table} ORDER BY ALL").df() for table in TABLES}
            found["raw.files"] = connection.execute(ACCEPTED).df()
        with psycopg.connect(self.url) as connection:
            for mart in MARTS:
                cursor = connection.execute(f"SELECT * FROM marts.{mart} ORDER BY 1, 2, 3, 4")
                found[mart] = pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description])
            query = "SELECT mart, batch_id, fingerprint, rows FROM lake.held ORDER BY 1, 2"
            found["lake.held"] = pd.DataFrame(connection.execute(query).fetchall())
            query = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'lake'::regnamespace"
            found["tables of lake"] = pd.DataFrame(connection.execute(query).fetchall())
        return found


def attempt(lake: Lake, folder: Folder, chance: random.Random, removal: bool) -> tuple[bool, int, str]:
    """Start a run and kill it at a random moment of a random step, unless it ends first.

    Returns:
        Whether it was killed, its exit code, and what it said.
    """
    parameters = ["allow_removal=true"] if removal else []
    parameters += ["full_refresh=true"] if chance.random() < 0.15 else []
    step, moment = chance.randint(0, STEPS), chance.uniform(0, 0.5)
    move_at = chance.randint(0, STEPS) if chance.random() < 0.2 else None
    process = lake.start(*(["--params", ",".join(parameters)] if parameters else []))
    lines: list[str] = []
    written = threading.Semaphore(0)

    def listen() -> None:
        for line in process.stdout or ():
            lines.append(line)
            if "Wrote " in line or "Published " in line:
                written.release()
        for _ in range(STEPS + 1):
            written.release()

    listener = threading.Thread(target=listen)
    listener.start()
    if not step:
        time.sleep(moment * 8)  # it may be anywhere between its start and its first table
    for passed in range(step):
        if passed == move_at:
            folder.change_one_file()
        written.acquire()
    time.sleep(moment)
    process.kill()
    code = process.wait()
    listener.join()
    return code == -9, code, "".join(lines)


def torture(home: Path, kills: int, seed: int) -> bool:
    chance = random.Random(seed)
    folder = Folder(home / "raw", chance)
    with EmbeddedServer(home / "postgres") as server:
        lake = Lake(home, "tortured", server, folder.path)
        reader = Reader(lake.url, folder, seed)
        reader.start()
        killed = finished = refused = 0
        failed: list[str] = []
        removal = False
        while killed < kills:
            removal = folder.change() or removal
            was_killed, code, said = attempt(lake, folder, chance, removal)
            killed += was_killed
            if code == 0:
                finished, removal = finished + 1, False
            elif code == 1 and "changed since it was inspected" in said:
                refused += 1
            elif not was_killed:
                failed.append(f"exit code {code}\n{said}")
        lake.run("--params", "allow_removal=true")
        time.sleep(1)  # for a last look
        reader.done.set()
        reader.join()
        fresh = Lake(home, "fresh", server, folder.path)
        fresh.run()
        different, found = [], lake.tables()
        for table, rows in fresh.tables().items():
            try:
                pd.testing.assert_frame_equal(found[table], rows, rtol=1e-9)
            except AssertionError as error:
                different.append(f"{table}: {error}")
    last = len(folder.states) - 1
    if set(reader.newest.values()) != {last}:
        different.append(f"the last state sighted is {reader.newest}, not {last}")
    print(f"kills                        {killed}")
    print(f"runs that finished           {finished}, refused since a file changed {refused}, failed {len(failed)}")
    print(f"readings of the marts        {reader.looks:,}")
    print(f"states of the raw files      {last + 1}, published {[len(seen) for seen in reader.sighted.values()]}")
    print(f"wrong sightings              {len(reader.wrong)}")
    print(f"final state is a full build  {'no' if different else 'yes'}")
    for text in [*failed[:3], *reader.wrong[:10], *different]:
        print(text)
    return not (failed or reader.wrong or different)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="lake-torture-"))
    home.chmod(0o755)  # as root the server runs as another user, who must be able to enter
    began = time.time()
    try:
        good = torture(home, options.kills, options.seed)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(f"{time.time() - began:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
