"""The tables of `kedro run`, made by a plain script: DuckDB SQL and binary COPY, neither Kedro nor Ibis.

What a run costs beyond this is the price of the framework. The script knows its raw files: canonical columns, aware
times, numbers as doubles. It keeps the rules of the tables and leaves out what makes the lake safe: quarantine of bad
files, history of the manifest, readers of a mart that is replaced, counting after a load.

    python benchmarks/plain_script.py RAW_FOLDER WAREHOUSE.duckdb POSTGRES_URL
    python benchmarks/plain_script.py RAW_FOLDER WAREHOUSE.duckdb POSTGRES_URL --add FILE
    python benchmarks/plain_script.py RAW_FOLDER WAREHOUSE.duckdb POSTGRES_URL --rebuild-statistics

Beside the full build there is what one would do by hand: replace the batch of one new file, or compute the statistics
and the mart above them again.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pgpq
import psycopg

TEXT = ("batch_id", "equipment_id", "site", "tag", "unit", "quality")
REQUIRED = ("batch_id", "equipment_id", "tag")
BATCH_ROWS = 100_000
HOUR = 3.6e9  # microseconds

POSTGRES_TYPES = {
    "VARCHAR": "text",
    "BIGINT": "bigint",
    "DOUBLE": "double precision",
    "TIMESTAMP": "timestamp with time zone",
}

# One expression trims and removes NUL padding, so that DuckDB applies it to dictionaries rather than to rows.
TRIMMED = r"regexp_replace({0}, '^[\x00 \t\n\v\f\r]+|[\x00 \t\n\v\f\r]+$|\x00', '', 'g')"
FINITE = "value IS NOT NULL AND isfinite(value)"
IN_RANGE = "ts BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999'"

MEAN = """CASE WHEN max(value) <= 1e150 AND min(value) >= -1e150
    THEN avg(CASE WHEN value BETWEEN -1e150 AND 1e150 THEN value END) END"""
# DuckDB's own squares would overflow near 1e150; a power of two scales without rounding.
DEVIATION = MEAN.replace("avg(", "pow(2, 40) * stddev_samp(").replace("THEN value END", "THEN value / pow(2, 40) END")

RAW = """
SELECT batch_id, equipment_id, site, tag, CASE WHEN {in_range} THEN utc END AS ts,
    CASE WHEN {in_range} THEN NULL ELSE CAST(ts AS VARCHAR) END AS ts_text, value,
    CAST(NULL AS VARCHAR) AS value_text, unit, quality, source_file
FROM (SELECT *, make_timestamp(epoch_us(ts)) AS utc, substr(path, {skip}) AS source_file
    FROM read_parquet([{files}], filename = 'path', hive_partitioning = false))"""

STAGING = """
SELECT {batch_id}, {equipment_id}, {site}, {tag}, ts, {value}, {unit}, {quality}, source_file
FROM {raw} WHERE {accepted}"""

REJECTED = """
CREATE OR REPLACE VIEW staging.rejected_readings AS
SELECT {first}, ts, ts_text, {value}, {unit}, {quality}, source_file,
    CASE {reasons} WHEN ts IS NULL AND ts_text IS NULL THEN 'ts is missing'
        ELSE 'ts does not read as a time between the years 1 and 9999' END AS reason
FROM raw.bioreactor WHERE NOT coalesce({accepted}, false)"""

MANIFEST = """
CREATE OR REPLACE TABLE raw.files AS
SELECT f.path, f.content_hash, f.modified_at, f.size_bytes, f.schema_id, CAST(NULL AS VARCHAR) AS rules_hash,
    s.batch_ids, s.rows_accepted, s.rows_rejected, s.ts_min, s.ts_max, CAST(NULL AS VARCHAR) AS reason,
    'accepted' AS status, now()::TIMESTAMP AS first_seen_at, now()::TIMESTAMP AS last_seen_at,
    CAST(NULL AS VARCHAR) AS run_id
FROM found AS f JOIN (
    SELECT source_file, list(batch_id ORDER BY batch_id) FILTER (accepted > 0) AS batch_ids,
        sum(accepted)::BIGINT AS rows_accepted, sum(total - accepted)::BIGINT AS rows_rejected,
        min(ts_min) AS ts_min, max(ts_max) AS ts_max
    FROM (SELECT source_file, {batch_id} AS batch_id, count(*) AS total, count(*) FILTER ({accepted}) AS accepted,
            min(ts) FILTER ({accepted}) AS ts_min, max(ts) FILTER ({accepted}) AS ts_max
        FROM raw.bioreactor GROUP BY ALL)
    GROUP BY source_file) AS s ON s.source_file = f.path
ORDER BY f.path"""

DIM_BATCH = f"""
WITH parts AS (
    SELECT batch_id, equipment_id, site, tag, source_file, count(*) AS readings, min(ts) AS ts_min, max(ts) AS ts_max
    FROM staging.stg_bioreactor GROUP BY ALL),
equipment AS (
    SELECT DISTINCT ON (batch_id) batch_id, equipment_id
    FROM (SELECT batch_id, equipment_id, sum(readings) AS readings FROM parts GROUP BY ALL)
    ORDER BY batch_id, readings DESC, equipment_id),
sites AS (
    SELECT DISTINCT ON (batch_id) batch_id, site
    FROM (SELECT batch_id, site, sum(readings) AS readings FROM parts WHERE site IS NOT NULL GROUP BY ALL)
    ORDER BY batch_id, readings DESC, site)
SELECT batch_id, any_value(sites.site) AS site, any_value(equipment.equipment_id) AS equipment_id,
    count(DISTINCT parts.equipment_id) AS equipment_count, min(ts_min) AS batch_start, max(ts_max) AS batch_end,
    date_diff('microsecond', min(ts_min), max(ts_max)) / {HOUR} AS duration_hours,
    sum(readings)::BIGINT AS reading_count, count(DISTINCT tag) AS tag_count,
    count(DISTINCT source_file) AS source_file_count, CAST(NULL AS VARCHAR) AS product,
    CAST(NULL AS VARCHAR) AS recipe, CAST(NULL AS TIMESTAMP) AS inoculation_time
FROM parts JOIN equipment USING (batch_id) LEFT JOIN sites USING (batch_id)
GROUP BY batch_id ORDER BY batch_id"""

DOWNSAMPLED = f"""
SELECT batch_id, equipment_id, tag, time_bucket(INTERVAL 5 MINUTES, ts) AS ts_5m, {MEAN} AS avg_value,
    min(value) AS min_value, max(value) AS max_value,
    arg_max(value, {{'ts': ts, 'value': value}}) FILTER (value IS NOT NULL) AS last_value, count(*) AS reading_count
FROM staging.stg_bioreactor GROUP BY ALL ORDER BY batch_id, equipment_id, tag, ts_5m"""

FACT = f"""
SELECT batch_id, equipment_id, tag, {MEAN} AS avg_value, min(value) AS min_value, max(value) AS max_value,
    {DEVIATION} AS stddev_value, min(ts) AS first_ts, max(ts) AS last_ts, count(*) AS reading_count,
    count(*) FILTER (value IS NULL AND value_text IS NULL) AS null_count, count(value) AS value_count,
    count(value_text) AS text_count, CASE WHEN count(DISTINCT unit) = 1 THEN min(unit) END AS unit,
    count(DISTINCT unit) AS unit_count
FROM staging.stg_bioreactor GROUP BY ALL ORDER BY batch_id, equipment_id, tag"""

OVERVIEW = """
SELECT f.batch_id, f.equipment_id, f.tag, d.site, d.batch_start, d.batch_end, d.duration_hours, f.avg_value,
    f.min_value, f.max_value, f.stddev_value, f.first_ts, f.last_ts, f.reading_count, f.null_count,
    f.value_count, f.text_count, f.unit, d.equipment_id AS main_equipment_id, d.equipment_count,
    d.reading_count AS batch_reading_count, d.tag_count, d.source_file_count
FROM curated.fact_bioreactor_batch_stats AS f JOIN curated.dim_batch AS d USING (batch_id)
WHERE f.reading_count >= 1 AND f.null_count <= f.reading_count * 1.0"""

TIMELINE = f"""
SELECT s.batch_id, s.equipment_id, s.tag, s.ts_5m, d.site, d.batch_start, s.avg_value, s.min_value, s.max_value,
    s.last_value, s.reading_count, date_diff('microsecond', d.batch_start, s.ts_5m) / {HOUR} AS hours_since_start
FROM intermediate.int_bioreactor_downsample_5m AS s JOIN curated.dim_batch AS d USING (batch_id)"""


TABLES = {
    "curated.dim_batch": DIM_BATCH,
    "intermediate.int_bioreactor_downsample_5m": DOWNSAMPLED,
    "curated.fact_bioreactor_batch_stats": FACT,
}
INDEXED = ("curated.dim_batch", "curated.fact_bioreactor_batch_stats")
KEY = ["batch_id", "equipment_id", "tag"]
MARTS = {
    "mart_bioreactor_overview": (OVERVIEW, KEY, ["equipment_id", "tag", "batch_start"]),
    "mart_bioreactor_timeline": (TIMELINE, [*KEY, "ts_5m"], ["ts_5m"]),
}


def build(raw: Path, warehouse: Path, url: str) -> dict[str, float]:
    """Make every table from nothing; seconds by step."""
    seconds: dict[str, float] = {}

    def timed(step: str, action: Callable[[], Any]) -> None:
        started = time.perf_counter()
        action()
        seconds[step] = time.perf_counter() - started

    with duckdb.connect(str(warehouse)) as lake:
        lake.execute("SET TimeZone = 'UTC'")
        timed("raw and staging", lambda: ingest(lake, raw))
        for table in TABLES:
            timed(table, partial(fill, lake, table))
        with psycopg.connect(url) as postgres:
            for mart in MARTS:
                timed(mart, partial(publish, lake, postgres, mart))
    return seconds


def fill(lake: duckdb.DuckDBPyConnection, table: str) -> None:
    """Compute a table as a whole."""
    lake.execute(f"CREATE OR REPLACE TABLE {table} AS {TABLES[table]}")
    if table in INDEXED:
        lake.execute(f"CREATE INDEX {table.partition('.')[2]}_batch_id ON {table} (batch_id)")


def rebuild_statistics(raw: Path, warehouse: Path, url: str) -> None:
    """What follows a change in how the statistics are computed."""
    with duckdb.connect(str(warehouse)) as lake:
        lake.execute("SET TimeZone = 'UTC'")
        fill(lake, "curated.fact_bioreactor_batch_stats")
        with psycopg.connect(url) as postgres:
            publish(lake, postgres, "mart_bioreactor_overview")


def add(raw: Path, warehouse: Path, url: str, file: Path) -> None:
    """Replace the batches of one new file everywhere; the views are left to a glob, which is there at no cost."""
    with duckdb.connect(str(warehouse)) as lake, psycopg.connect(url) as postgres:
        lake.execute("SET TimeZone = 'UTC'")
        replace_batches(lake, postgres, raw, file)


def replace_batches(lake: duckdb.DuckDBPyConnection, postgres: psycopg.Connection[Any], raw: Path, file: Path) -> None:
    """The same with connections that are there; the caller commits in Postgres."""
    lake.execute("BEGIN")
    parts = reading(raw, [file])
    lake.execute(f"CREATE OR REPLACE TEMP TABLE readings AS {STAGING.format(raw=f'({parts.raw})', **parts.columns)}")
    path, content_hash, modified, size = facts(file, raw)
    lake.execute(
        "INSERT INTO raw.files SELECT ?, ?, ?, ?, (SELECT any_value(schema_id) FROM raw.files), NULL, "
        "list(DISTINCT batch_id), count(*), 0, min(ts), max(ts), NULL, 'accepted', now()::TIMESTAMP, "
        "now()::TIMESTAMP, NULL FROM readings",
        [path, content_hash, modified, size],
    )
    batches = [batch for (batch,) in lake.execute("SELECT DISTINCT batch_id FROM readings").fetchall()]
    for table, query in TABLES.items():
        lake.execute(f"DELETE FROM {table} WHERE batch_id IN (SELECT batch_id FROM readings)")
        lake.execute(f"INSERT INTO {table} {query.replace('staging.stg_bioreactor', 'readings')}")
    lake.execute("COMMIT")
    among = f"({', '.join(repr(batch) for batch in batches)})"
    for mart, (query, *_) in MARTS.items():
        with postgres.cursor() as cursor:
            cursor.execute(f"DELETE FROM marts.{mart} WHERE batch_id = ANY(%s)", [batches])
            copy_rows(lake, cursor, f"marts.{mart}", f"SELECT * FROM ({query}) WHERE batch_id IN {among}", "")


def ingest(lake: duckdb.DuckDBPyConnection, raw: Path) -> None:
    """Schemas, the manifest, and the views of raw rows, readings and rejects."""
    for schema in ("raw", "staging", "intermediate", "curated"):
        lake.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    files = sorted(raw.rglob("*.parquet"))
    parts = reading(raw, [raw / "**" / "*.parquet"])
    lake.execute(f"CREATE OR REPLACE VIEW raw.bioreactor AS {parts.raw}")
    staging = STAGING.format(raw="raw.bioreactor", **parts.columns)
    lake.execute(f"CREATE OR REPLACE VIEW staging.stg_bioreactor AS {staging}")
    trimmed, cleaned, accepted = parts.trimmed, parts.cleaned, parts.columns["accepted"]
    reasons = " ".join(f"WHEN coalesce({trimmed[n]}, '') = '' THEN '{n} is missing'" for n in REQUIRED)
    reasons += "".join(f" WHEN length({trimmed[n]}) > 200 THEN '{n} is longer than 200 characters'" for n in REQUIRED)
    first = ", ".join(cleaned[name] for name in TEXT[:4])
    rest = {name: cleaned[name] for name in TEXT[4:]}
    value = parts.columns["value"]
    lake.execute(REJECTED.format(first=first, **rest, value=value, reasons=reasons, accepted=accepted))
    described = lake.execute("DESCRIBE FROM read_parquet(?)", [str(files[0])]).fetchall()
    schema = [(name, kind) for name, kind, *_ in described] + [("source_file", "VARCHAR")]
    schema_id = hashlib.sha256(json.dumps([schema, []]).encode()).hexdigest()[:16]
    lake.execute(
        "CREATE TEMP TABLE found (path VARCHAR, content_hash VARCHAR, modified_at TIMESTAMP, size_bytes BIGINT, "
        "schema_id VARCHAR)"
    )
    lake.executemany("INSERT INTO found VALUES (?, ?, ?, ?, ?)", [(*facts(file, raw), schema_id) for file in files])
    lake.execute(MANIFEST.format(batch_id=f"nullif({trimmed['batch_id']}, '')", accepted=accepted))


@dataclass
class Reading:
    """Pieces of SQL: the rows of some files, and what staging makes of their columns."""

    raw: str
    columns: dict[str, str]
    trimmed: dict[str, str]
    cleaned: dict[str, str]


def reading(raw: Path, files: list[Path]) -> Reading:
    trimmed = {name: TRIMMED.format(name) for name in TEXT}
    cleaned = {name: f"nullif({expression}, '') AS {name}" for name, expression in trimmed.items()}
    accepted = " AND ".join(f"length({trimmed[name]}) BETWEEN 1 AND 200" for name in REQUIRED) + " AND ts IS NOT NULL"
    value = (
        f"CASE WHEN {FINITE} THEN value END AS value, CASE WHEN isnan(value) THEN 'NaN' WHEN isinf(value) THEN "
        "CASE WHEN value > 0 THEN 'Infinity' ELSE '-Infinity' END END AS value_text"
    )
    paths = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    in_range = IN_RANGE.replace("ts", "utc", 1)
    required = {name: f"{trimmed[name]} AS {name}" for name in REQUIRED}
    columns = {**cleaned, **required, "value": value, "accepted": accepted}
    return Reading(RAW.format(in_range=in_range, skip=len(str(raw)) + 2, files=paths), columns, trimmed, cleaned)


def facts(file: Path, raw: Path) -> tuple[str, str, datetime, int]:
    """Path under the raw folder, SHA-256, time of change and size."""
    stat = file.stat()
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    modified = datetime.fromtimestamp(stat.st_mtime, UTC).replace(tzinfo=None)
    return file.relative_to(raw).as_posix(), digest, modified, stat.st_size


def publish(lake: duckdb.DuckDBPyConnection, postgres: psycopg.Connection[Any], mart: str) -> None:
    """Drop a mart, create it, load it by binary COPY, and index it."""
    query, key, indexes = MARTS[mart]
    types = [(column, POSTGRES_TYPES[kind]) for column, kind, *_ in lake.execute(f"DESCRIBE {query}").fetchall()]
    with postgres.transaction(), postgres.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS marts")
        cursor.execute(f"DROP TABLE IF EXISTS marts.{mart}")
        cursor.execute(f"CREATE TABLE marts.{mart} ({', '.join(f'{column} {kind}' for column, kind in types)})")
        copy_rows(lake, cursor, f"marts.{mart}", query, ", FREEZE")
        cursor.execute(f"ALTER TABLE marts.{mart} ADD PRIMARY KEY ({', '.join(key)})")
        for column in indexes:
            cursor.execute(f"CREATE INDEX ON marts.{mart} ({column})")
        cursor.execute(f"ANALYZE marts.{mart}")


def copy_rows(
    lake: duckdb.DuckDBPyConnection, cursor: psycopg.Cursor[Any], table: str, query: str, options: str
) -> None:
    """Load the rows of a query by binary COPY."""
    reader = lake.execute(query).to_arrow_reader(BATCH_ROWS)
    encoder = pgpq.ArrowToPostgresBinaryEncoder(reader.schema)
    with cursor.copy(f"COPY {table} FROM STDIN WITH (FORMAT binary{options})") as copy:
        copy.write(encoder.write_header())
        for batch in reader:
            copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())


def main(raw: str, warehouse: str, url: str, *what: str) -> None:
    places = (Path(raw).resolve(), Path(warehouse), url)
    if not what:
        for step, seconds in build(*places).items():
            print(f"{step}: {seconds:.2f} s")
    elif what[0] == "--add":
        add(*places, Path(what[1]).resolve())
    else:
        rebuild_statistics(*places)


if __name__ == "__main__":
    main(*sys.argv[1:])
