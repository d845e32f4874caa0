"""The tables of `kedro run`, made by a plain script: DuckDB SQL and binary COPY, neither Kedro nor Ibis.

What a run costs beyond this is the price of the framework. The script knows its raw files: canonical columns, aware
times, numbers as doubles. It keeps the rules of the tables and leaves out what makes the lake safe: quarantine of bad
files, history of the manifest, readers of a mart that is replaced, counting after a load.

    python benchmarks/plain_script.py RAW_FOLDER WAREHOUSE.duckdb POSTGRES_URL
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
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

RAW_VIEW = """
CREATE OR REPLACE VIEW raw.bioreactor AS
SELECT batch_id, equipment_id, site, tag, CASE WHEN {in_range} THEN utc END AS ts,
    CASE WHEN {in_range} THEN NULL ELSE CAST(ts AS VARCHAR) END AS ts_text, value,
    CAST(NULL AS VARCHAR) AS value_text, unit, quality, source_file
FROM (SELECT *, make_timestamp(epoch_us(ts)) AS utc, substr(path, {skip}) AS source_file
    FROM read_parquet([{files}], filename = 'path', hive_partitioning = false))"""

STAGING = """
CREATE OR REPLACE VIEW staging.stg_bioreactor AS
SELECT {batch_id}, {equipment_id}, {site}, {tag}, ts, {value}, {unit}, {quality}, source_file
FROM raw.bioreactor WHERE {accepted}"""

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
CREATE OR REPLACE TABLE curated.dim_batch AS
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
    count(DISTINCT source_file) AS source_file_count
FROM parts JOIN equipment USING (batch_id) LEFT JOIN sites USING (batch_id)
GROUP BY batch_id ORDER BY batch_id;
CREATE INDEX dim_batch_batch_id ON curated.dim_batch (batch_id)"""

DOWNSAMPLED = f"""
CREATE OR REPLACE TABLE intermediate.int_bioreactor_downsample_5m AS
SELECT batch_id, equipment_id, tag, time_bucket(INTERVAL 5 MINUTES, ts) AS ts_5m, {MEAN} AS avg_value,
    min(value) AS min_value, max(value) AS max_value,
    arg_max(value, {{'ts': ts, 'value': value}}) FILTER (value IS NOT NULL) AS last_value, count(*) AS reading_count
FROM staging.stg_bioreactor GROUP BY ALL ORDER BY batch_id, equipment_id, tag, ts_5m"""

FACT = f"""
CREATE OR REPLACE TABLE curated.fact_bioreactor_batch_stats AS
SELECT batch_id, equipment_id, tag, {MEAN} AS avg_value, min(value) AS min_value, max(value) AS max_value,
    {DEVIATION} AS stddev_value, min(ts) AS first_ts, max(ts) AS last_ts, count(*) AS reading_count,
    count(*) FILTER (value IS NULL AND value_text IS NULL) AS null_count
FROM staging.stg_bioreactor GROUP BY ALL ORDER BY batch_id, equipment_id, tag;
CREATE INDEX fact_bioreactor_batch_stats_batch_id ON curated.fact_bioreactor_batch_stats (batch_id)"""

OVERVIEW = """
SELECT f.batch_id, f.equipment_id, f.tag, d.site, d.batch_start, d.batch_end, d.duration_hours, f.avg_value,
    f.min_value, f.max_value, f.stddev_value, f.first_ts, f.last_ts, f.reading_count, f.null_count,
    d.equipment_id AS main_equipment_id, d.equipment_count, d.reading_count AS batch_reading_count, d.tag_count,
    d.source_file_count
FROM curated.fact_bioreactor_batch_stats AS f JOIN curated.dim_batch AS d USING (batch_id)
WHERE f.reading_count >= 1 AND f.null_count <= f.reading_count * 1.0"""

TIMELINE = f"""
SELECT s.batch_id, s.equipment_id, s.tag, s.ts_5m, d.site, d.batch_start, s.avg_value, s.min_value, s.max_value,
    s.last_value, s.reading_count, date_diff('microsecond', d.batch_start, s.ts_5m) / {HOUR} AS hours_since_start
FROM intermediate.int_bioreactor_downsample_5m AS s JOIN curated.dim_batch AS d USING (batch_id)"""


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
        timed("dim_batch", lambda: lake.execute(DIM_BATCH))
        timed("int_bioreactor_downsample_5m", lambda: lake.execute(DOWNSAMPLED))
        timed("fact_bioreactor_batch_stats", lambda: lake.execute(FACT))
        with psycopg.connect(url) as postgres:
            key = ["batch_id", "equipment_id", "tag"]
            load = publish
            timed(
                "mart_bioreactor_overview",
                lambda: load(
                    lake, postgres, "mart_bioreactor_overview", OVERVIEW, key, ["equipment_id", "tag", "batch_start"]
                ),
            )
            timed(
                "mart_bioreactor_timeline",
                lambda: load(lake, postgres, "mart_bioreactor_timeline", TIMELINE, [*key, "ts_5m"], ["ts_5m"]),
            )
    return seconds


def ingest(lake: duckdb.DuckDBPyConnection, raw: Path) -> None:
    """Schemas, the manifest, and the views of raw rows, readings and rejects."""
    for schema in ("raw", "staging", "intermediate", "curated"):
        lake.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    files = sorted(raw.rglob("*.parquet"))
    trimmed = {name: TRIMMED.format(name) for name in TEXT}
    cleaned = {name: f"nullif({expression}, '') AS {name}" for name, expression in trimmed.items()}
    accepted = " AND ".join(f"length({trimmed[name]}) BETWEEN 1 AND 200" for name in REQUIRED) + " AND ts IS NOT NULL"
    value = (
        f"CASE WHEN {FINITE} THEN value END AS value, CASE WHEN isnan(value) THEN 'NaN' WHEN isinf(value) THEN "
        "CASE WHEN value > 0 THEN 'Infinity' ELSE '-Infinity' END END AS value_text"
    )
    paths = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    in_range = IN_RANGE.replace("ts", "utc", 1)
    lake.execute(RAW_VIEW.format(in_range=in_range, skip=len(str(raw)) + 2, files=paths))
    required = {name: f"{trimmed[name]} AS {name}" for name in REQUIRED}
    lake.execute(STAGING.format(**(cleaned | required), value=value, accepted=accepted))
    reasons = " ".join(f"WHEN coalesce({trimmed[n]}, '') = '' THEN '{n} is missing'" for n in REQUIRED)
    reasons += "".join(f" WHEN length({trimmed[n]}) > 200 THEN '{n} is longer than 200 characters'" for n in REQUIRED)
    first = ", ".join(cleaned[name] for name in TEXT[:4])
    rest = {name: cleaned[name] for name in TEXT[4:]}
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


def facts(file: Path, raw: Path) -> tuple[str, str, datetime, int]:
    """Path under the raw folder, SHA-256, time of change and size."""
    stat = file.stat()
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    modified = datetime.fromtimestamp(stat.st_mtime, UTC).replace(tzinfo=None)
    return file.relative_to(raw).as_posix(), digest, modified, stat.st_size


def publish(
    lake: duckdb.DuckDBPyConnection,
    postgres: psycopg.Connection[Any],
    name: str,
    query: str,
    key: list[str],
    indexes: list[str],
) -> None:
    """Drop a mart, create it, load it by binary COPY, and index it."""
    types = [(column, POSTGRES_TYPES[kind]) for column, kind, *_ in lake.execute(f"DESCRIBE {query}").fetchall()]
    with postgres.transaction(), postgres.cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS marts")
        cursor.execute(f"DROP TABLE IF EXISTS marts.{name}")
        cursor.execute(f"CREATE TABLE marts.{name} ({', '.join(f'{column} {kind}' for column, kind in types)})")
        reader = lake.execute(query).to_arrow_reader(BATCH_ROWS)
        encoder = pgpq.ArrowToPostgresBinaryEncoder(reader.schema)
        with cursor.copy(f"COPY marts.{name} FROM STDIN WITH (FORMAT binary, FREEZE)") as copy:
            copy.write(encoder.write_header())
            for batch in reader:
                copy.write(encoder.write_batch(batch))
            copy.write(encoder.finish())
        cursor.execute(f"ALTER TABLE marts.{name} ADD PRIMARY KEY ({', '.join(key)})")
        for column in indexes:
            cursor.execute(f"CREATE INDEX ON marts.{name} ({column})")
        cursor.execute(f"ANALYZE marts.{name}")


def main(raw: str, warehouse: str, url: str) -> None:
    for step, seconds in build(Path(raw).resolve(), Path(warehouse), url).items():
        print(f"{step}: {seconds:.2f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
