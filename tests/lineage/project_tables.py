"""The project's own tables as expressions over one another, made by its nodes as a run would make them."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from bioreactor_lake.pipelines.curated.nodes import describe_batches, downsample_readings, summarise_tags
from bioreactor_lake.pipelines.ingestion.nodes import unite_raw_files
from bioreactor_lake.pipelines.marts.nodes import build_overview, build_timeline
from bioreactor_lake.pipelines.staging.nodes import set_aside_rejects, stage_readings

SYNONYMS = {name: [name] for name in ("equipment_id", "ts", "tag", "value", "site", "unit", "quality")}
READING = {"synonyms": {**SYNONYMS, "batch_id": ["batch_id", "Batch"]}}
OVERVIEW = {"min_readings": 1, "max_null_fraction": 1.0, "excluded_tags": ["x"]}
TIMELINE = {"tags": ["ph"], "batches_since": "2020-01-01"}

PLAIN = {"batch_id": "string", "equipment_id": "string", "ts": "timestamp", "tag": "string", "value": "float64",
         "site": "string", "source_file": "string"}  # fmt: skip
FILES = {"path": "string", "rows_rejected": "int64", "status": "string"}
SHEETS = ibis.table(
    dict.fromkeys(["source", "record_id", "batch_id", "product", "recipe", "reason"], "string")
    | {"inoculation_time": "timestamp(6)"},
    name="batch_sheets",
    database="raw",
)


def expressions() -> dict[str, ir.Table]:
    """Schema and name to expression, in the order of a run."""
    found: dict[str, ir.Table] = {}

    def made(name: str, expression: ir.Table) -> ir.Table:
        found[name] = expression
        schema, _, table = name.partition(".")
        return ibis.table(expression.schema(), name=table, database=schema)

    files = ibis.table(FILES, name="files", database="raw")
    plain = ibis.table(PLAIN, name="parquet_a", database="raw")
    other = ibis.table(
        {
            ("Batch" if name == "batch_id" else name): "int64" if name == "value" else kind
            for name, kind in PLAIN.items()
        },
        name="parquet_b",
        database="raw",
    )
    raw = made("raw.bioreactor", unite_raw_files({"a": plain, "b": other}, READING))
    made("staging.rejected_readings", set_aside_rejects(raw, files))
    staged = made("staging.stg_bioreactor", stage_readings(raw))
    series = made("intermediate.int_bioreactor_downsample_5m", downsample_readings(staged))
    batches = made("curated.dim_batch", describe_batches(staged, SHEETS))
    facts = made("curated.fact_bioreactor_batch_stats", summarise_tags(staged))
    made("marts.mart_bioreactor_overview", build_overview(batches, facts, OVERVIEW))
    made("marts.mart_bioreactor_timeline", build_timeline(series, batches, TIMELINE))
    return found
