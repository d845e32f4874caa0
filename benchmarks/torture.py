"""Kill `kedro run` again and again while people read the marts, then compare what is left with a full build.

    python benchmarks/torture.py [--kills 200] [--seed 1]

Raw files, warehouse and Postgres server are private. Between runs raw files come, change and go, at times one changes
during a run; each run is killed (SIGKILL) at a random moment of a random step, unless it ends first. A reader looks at
both marts all the while. Every reading says in its value and site which version of its batch it belongs to, so that a
sighting is known to be a state of the raw files as a whole, which a complete run could publish, or else is wrong; so
is one older than the one before, and a mart that is gone.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from bioreactor_lake.postgres.embedded import EmbeddedServer  # noqa: E402

START, MINUTES = datetime(2026, 1, 1, tzinfo=UTC), 5  # a reading a minute, five in a bucket
TAGS = ("temperature", "ph", "do", "pressure", "agitation", "glucose")
STEPS = 9  # a run's writes, one line of its log each
TABLES = ("raw.bioreactor", "staging.stg_bioreactor", "staging.rejected_readings", "curated.dim_batch",
          "intermediate.int_bioreactor_downsample_5m", "curated.fact_bioreactor_batch_stats",
          "(SELECT path, content_hash, schema_id, rules_hash, batch_ids, rows_accepted FROM raw.files "
          "WHERE status = 'accepted')")  # fmt: skip
MARTS = {
    "mart_bioreactor_overview": "min(batch_reading_count), max(batch_reading_count)",
    "mart_bioreactor_timeline": "min(last_value), max(last_value)",
}
FACTS = (
    "min(min_value), min(avg_value), max(avg_value), max(max_value), min(site), max(site), count(*), sum(reading_count)"
)
STATE = (
    "SELECT mart, batch_id, fingerprint, rows FROM lake.held UNION ALL SELECT 'relations', '', '', count(*) "
    "FROM pg_class WHERE relnamespace = 'lake'::regnamespace ORDER BY 1, 2"
)


def size_of(version: int) -> tuple[int, int]:
    return 2 + version % (len(TAGS) - 1), 20 + version % 17  # tags and buckets: versions differ in their rows


def expected(mart: str, version: int) -> tuple[object, ...]:
    """What `FACTS` and `MARTS` find of a batch of that version."""
    (tags, buckets), value, site = size_of(version), float(version), f"v{version}"
    overview, readings = mart == "mart_bioreactor_overview", tags * buckets * MINUTES
    rows, own = (tags, readings) if overview else (tags * buckets, value)
    return value, value, value, value, site, site, rows, readings, own, own


class Folder:
    """The raw files: one a batch, and for every second batch half of its tags in a file that three share."""

    def __init__(self, path: Path, chance: random.Random) -> None:
        self.path, self.chance, self.version, self.number = path, chance, 0, 0
        self.states: list[dict[str, int]] = [{}]  # version by batch

    def change(self) -> None:
        after, chance = dict(self.states[-1]), self.chance
        kind = chance.choice(["all", *["some"] * 5, *["add"] * 3, *["remove"] * 3, "nothing"])
        if len(after) < 10 or kind == "add":
            for _ in range(max(10 - len(after), chance.randint(1, 3))):
                self.number += 1
                after[f"B-{self.number:04d}"] = 0
        elif kind == "remove" or len(after) > 24:
            for batch in chance.sample(sorted(after), chance.randint(1, 3)):
                del after[batch]
        for batch in chance.sample(sorted(after), {"all": len(after), "some": chance.randint(1, 4)}.get(kind, 0)):
            after[batch] = 0
        self.enter(after)

    def change_one_file(self) -> None:
        """A state that is one file away, so that a run meanwhile sees this one or the one before, never a third."""
        alone = [batch for batch in sorted(self.states[-1]) if int(batch[2:]) % 2]
        self.enter(self.states[-1] | {self.chance.choice(alone): 0})

    def enter(self, after: dict[str, int]) -> None:
        for batch in [batch for batch, version in after.items() if not version]:
            self.version = after[batch] = self.version + 1
        before = self.states[-1]
        if after != before:
            self.states.append(after)
        old, new = self.files(before), self.files(after)
        for path in [path for path, versions in new.items() if old.get(path) != versions]:
            self.write(path, new[path])
        for path in set(old) - set(new):
            (self.path / path).unlink()

    def files(self, state: dict[str, int]) -> dict[str, dict[str, int]]:
        found = {f"{batch}.parquet": {batch: version} for batch, version in state.items()}
        for batch in [batch for batch in state if int(batch[2:]) % 2 == 0]:
            found.setdefault(f"shared/{int(batch[2:]) // 6}.parquet", {})[batch] = state[batch]
        return found

    def write(self, path: str, versions: dict[str, int]) -> None:
        rows: list[tuple[object, ...]] = []
        for batch, version in versions.items():
            tags, buckets = size_of(version)
            mine = range(tags)
            if int(batch[2:]) % 2 == 0:
                mine = range(0 if path.startswith("shared") else 1, tags, 2)
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

    def __init__(self, url: str, states: list[dict[str, int]], seed: int) -> None:
        super().__init__(daemon=True)
        self.url, self.states, self.chance = url, states, random.Random(seed)
        self.done, self.looks = threading.Event(), 0
        self.newest = dict.fromkeys(MARTS, 0)
        self.sighted: set[tuple[str, int]] = set()
        self.wrong: list[str] = []

    def run(self) -> None:
        try:
            with psycopg.connect(self.url, autocommit=True) as connection:
                while not self.done.wait(0.02):
                    with connection.transaction():
                        for mart in MARTS:
                            self.look(connection, mart)
                        # Some readers stay: their locks are in the way of a swap.
                        self.done.wait(self.chance.uniform(0, 2) if self.chance.random() < 0.05 else 0)
        except Exception as error:
            self.wrong.append(f"the reader was refused: {error!r}")

    def look(self, connection: psycopg.Connection, mart: str) -> None:
        query, problem = f"SELECT batch_id, {FACTS}, {MARTS[mart]} FROM marts.{mart} GROUP BY 1", ""
        try:
            with connection.transaction():
                rows = {batch: tuple(found) for batch, *found in connection.execute(query).fetchall()}
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            problem = "gone" if self.newest[mart] else ""
        else:
            self.looks += 1
            state = {batch: int(found[0]) for batch, found in rows.items()}
            torn = [(b, found) for b, found in rows.items() if found != expected(mart, state[b])]
            index = next((i for i in range(self.newest[mart], len(self.states)) if self.states[i] == state), None)
            if torn or not index:
                problem = f"torn {torn}" if torn else self.nearest_state(state, self.newest[mart])
            else:
                self.newest[mart] = index
                self.sighted.add((mart, index))
        if problem:
            self.wrong.append(f"{mart}: {problem}")

    def nearest_state(self, state: dict[str, int], since: int) -> str:
        """What sets a sighting apart from the state since a number that is most like it."""
        apart = {i: sorted(state.items() ^ other.items()) for i, other in enumerate(self.states) if i >= since}
        number = min(apart, key=lambda i: len(apart[i]))
        return f"no state since number {since}; of number {number} differ {apart[number]}"


class Lake:
    def __init__(self, home: Path, name: str, server: str, raw: Path) -> None:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        self.url, self.warehouse = f"{server.rpartition('/')[0]}/{name}", home / name / "lake.duckdb"
        self.environment = os.environ | {
            "BIOREACTOR_LAKE_RAW": str(raw), "BIOREACTOR_LAKE_WAREHOUSE": str(self.warehouse),
            "BIOREACTOR_LAKE_POSTGRES_URL": self.url, "DO_NOT_TRACK": "1", "COLUMNS": "200",
        }  # fmt: skip

    def start(self, parameters: str) -> subprocess.Popen[str]:
        # The numbers say which version they are of, and are none of a bioreactor.
        command = [sys.executable, "-m", "kedro", "run", "--params", f"{parameters},checkpoints=false"]
        into = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, text=True, **into)

    def tables(self) -> dict[str, pd.DataFrame]:
        with duckdb.connect(self.warehouse, read_only=True) as connection:
            found = {table: connection.execute(f"SELECT * FROM {table} ORDER BY ALL").df() for table in TABLES}
        with psycopg.connect(self.url) as connection:
            for name in [*(f"SELECT * FROM marts.{mart} ORDER BY 1, 2, 3, 4" for mart in MARTS), STATE]:
                found[name] = pd.DataFrame(connection.execute(name).fetchall())
        return found


def attempt(lake: Lake, folder: Folder, chance: random.Random) -> tuple[int, str]:
    """Start a run and kill it at a random moment of a random step, unless it ends first; its exit code and words."""
    refresh, step, moment = chance.random() < 0.15, chance.randint(0, STEPS + 1), chance.uniform(0, 0.4)
    move_at = chance.randint(0, STEPS) if chance.random() < 0.25 else None
    process = lake.start(f"allow_removal=true,full_refresh={str(refresh).lower()}")
    lines, written = [], threading.Semaphore(0)

    def listen() -> None:
        for line in process.stdout or ():
            lines.append(line)
            if "Wrote " in line or "Published " in line:
                written.release()
        written.release(STEPS + 1)

    listener = threading.Thread(target=listen)
    listener.start()
    for passed in range(step):
        if passed == move_at:
            folder.change_one_file()
        written.acquire()
    time.sleep(moment if step else moment * 10)  # before the first table it may be anywhere since its start
    process.kill()
    process.wait()
    listener.join()
    return process.returncode, "".join(lines)


def torture(home: Path, kills: int, seed: int) -> bool:
    chance, ends, failed, different = random.Random(seed), [], [], []
    folder = Folder(home / "raw", chance)
    with EmbeddedServer(home / "postgres") as server:
        lake, fresh = (Lake(home, name, server, folder.path) for name in ("tortured", "fresh"))
        reader = Reader(lake.url, folder.states, seed)
        reader.start()
        while ends.count(-9) < kills:
            folder.change()
            code, said = attempt(lake, folder, chance)
            refused = code == 1 and "changed since it was inspected" in said
            ends.append("refused" if refused else code)
            failed += [said] if ends[-1] not in (0, -9, "refused") else []
        said = lake.start("allow_removal=true").communicate()[0]  # where it fails, the tables below differ
        time.sleep(3)  # for a last look
        reader.done.set()
        reader.join()
        fresh.start("allow_removal=true").communicate()
        found = lake.tables()
        with duckdb.connect(lake.warehouse, read_only=True) as connection:
            reasons = connection.execute(
                "SELECT DISTINCT path, reason FROM raw.files WHERE reason IS NOT NULL ORDER BY ALL"
            ).fetchall()
        for table, rows in fresh.tables().items():
            try:
                pd.testing.assert_frame_equal(found[table], rows, rtol=1e-9)
            except AssertionError as error:
                different.append(f"{table}: {error}")
    if any(folder.states[index] != folder.states[-1] for index in reader.newest.values()):
        different.append(f"the last states sighted are {reader.newest}, not {len(folder.states) - 1}\n{said}")
    print(f"kills, runs that finished     {ends.count(-9)}, {ends.count(0)}")
    print(f"runs that refused moved files {ends.count('refused')}, that failed otherwise {len(failed)}")
    print(f"readings of the marts         {reader.looks}, of {len(reader.sighted)} published states")
    print(f"wrong sightings               {len(reader.wrong)}")
    print(f"files ever quarantined        {len(reasons)}")  # every one is sound
    print(f"final state is a full build   {'no' if different else 'yes'}")
    wrong = list(dict.fromkeys(reader.wrong))
    print(*failed[:3], *wrong[:10], *reasons[:10], *different, sep="\n")
    return not (failed or reader.wrong or different)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lake-torture-", ignore_cleanup_errors=True) as folder_name:
        Path(folder_name).chmod(0o755)  # as root the server runs as another user, who must be able to enter
        good = torture(Path(folder_name), options.kills, options.seed)
    sys.exit(0 if good else 1)
