"""What Kedro-Viz tells of the lake, over plain HTTP."""

import subprocess
import time
from collections.abc import Callable

import duckdb
import pytest
import yaml
from project_copy import PROJECT, Lake, Viz

pytestmark = pytest.mark.slow

SOME_COLUMNS = {
    "raw_folder": ["path", "size_bytes", "modified_at"],
    "raw_bioreactor": ["batch_id", "equipment_id", "ts", "tag", "value", "source_file"],
    "stg_bioreactor": ["batch_id", "equipment_id", "site", "ts", "tag", "value", "value_text", "unit", "source_file"],
    "int_bioreactor_downsample_5m": ["batch_id", "equipment_id", "tag", "ts_5m", "avg_value", "reading_count"],
    "dim_batch": ["batch_id", "site", "equipment_id", "batch_start", "batch_end", "duration_hours"],
    "fact_bioreactor_batch_stats": ["batch_id", "equipment_id", "tag", "avg_value", "stddev_value"],
    "mart_bioreactor_overview": ["batch_id", "equipment_id", "tag", "site", "batch_start", "avg_value"],
}

MADE_BY = {
    "raw_bioreactor": "unite_raw_files",
    "rejected_readings": "set_aside_rejects",
    "stg_bioreactor": "stage_readings",
    "int_bioreactor_downsample_5m": "downsample_readings",
    "dim_batch": "describe_batches",
    "fact_bioreactor_batch_stats": "summarise_tags",
    "mart_bioreactor_overview": "build_overview",
    "mart_bioreactor_timeline": "build_timeline",
}
ORIGINS_IN_DIM_BATCH = """
duration_hours (DOUBLE): Hours from the batch's first reading to its last
    ← staging.stg_bioreactor.ts: timestamp_delta('microsecond', max(max(ts)),
        min(min(ts))) / 3600000000.0
reading_count (BIGINT): Readings, with or without a value
    ← rows of staging.stg_bioreactor: sum(count())
"""
ORIGINS_IN_THE_OVERVIEW = """
avg_value (double precision): Plain mean of the readings, not time-weighted; null where
    a magnitude exceeds 1e150
    ← curated.fact_bioreactor_batch_stats.avg_value
"""
SECRETS = {
    "url": "hunter2-of-the-url",
    "query": "hunter2-of-the-query",
    "key": "hunter2-of-the-key",
    "secret": "hunter2-of-the-bucket",
    "token": "hunter2-of-the-session",
    "lineage": "hunter2-of-the-lineage",
    "git": "hunter2-of-the-remote",
}


def planted(lake: Lake) -> dict[str, str]:
    """An environment full of secrets, and one more in the project's git; no server is where they lead."""
    subprocess.run(["git", "init", "--quiet"], cwd=lake.folder, check=True)
    remote = f"https://lake:{SECRETS['git']}@git.invalid/lake.git"
    subprocess.run(["git", "config", "remote.origin.url", remote], cwd=lake.folder, check=True)
    return {
        "BIOREACTOR_LAKE_POSTGRES_URL": f"postgresql://lake:{SECRETS['url']}@127.0.0.1:1/lake"
        f"?password={SECRETS['query']}",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "BIOREACTOR_LAKE_RAW_KEY": SECRETS["key"],
        "BIOREACTOR_LAKE_RAW_SECRET": SECRETS["secret"],
        "BIOREACTOR_LAKE_RAW_TOKEN": SECRETS["token"],
        "OPENLINEAGE_API_KEY": SECRETS["lineage"],
    }


def told(lake: Lake, text: str) -> list[str]:
    """The secrets that stand in a text."""
    return [secret for secret in (*SECRETS.values(), lake.password) if secret in text]


def test_the_layers_are_in_order(viz: Viz) -> None:
    assert viz.get("main")["layers"] == ["landing", "raw", "staging", "curated", "marts"]


@pytest.mark.parametrize("name", SOME_COLUMNS)
def test_a_table_shows_columns_and_rows(viz: Viz, name: str) -> None:
    node = viz.node(name)
    assert node["preview_type"] == "TablePreview"
    preview = node["preview"]
    assert set(SOME_COLUMNS[name]) <= set(preview["columns"])
    assert len(preview["data"]) == 5
    assert all(len(row) == len(preview["columns"]) and row[0] for row in preview["data"])


def test_the_timeline_draws_the_newest_batch(viz: Viz, lake: Lake) -> None:
    node = viz.node("mart_bioreactor_timeline")
    assert node["preview_type"] == "PlotlyPreview"
    figure = node["preview"]
    assert figure["layout"]["title"]["text"] == "B-0006, Basel, started 2026-02-04 06:19 UTC"
    lines = {trace["name"]: trace for trace in figure["data"]}
    assert list(lines) == ["vcd", "glucose", "lactate", "do"]
    with duckdb.connect(lake.warehouse, read_only=True) as connection:
        means = connection.sql(
            "SELECT avg_value FROM intermediate.int_bioreactor_downsample_5m "
            "WHERE batch_id = 'B-0006' AND tag = 'glucose' ORDER BY ts_5m"
        ).fetchall()
    assert lines["glucose"]["y"] == pytest.approx([mean for (mean,) in means], rel=1e-4)
    assert 250 < len(lines["do"]["x"]) <= 301
    assert len(viz.text(f"nodes/{viz.node_id('mart_bioreactor_timeline')}")) < 100_000


def test_its_panels_have_the_units_of_the_tags(viz: Viz) -> None:
    tags = yaml.safe_load((PROJECT / "conf/base/tags.yml").read_text())
    catalog = yaml.safe_load((PROJECT / "conf/base/catalog.yml").read_text())
    panels = catalog["mart_bioreactor_timeline"]["metadata"]["kedro-viz"]["preview_args"]["panels"]
    titles = [note["text"] for note in viz.node("mart_bioreactor_timeline")["preview"]["layout"]["annotations"]]
    assert titles == [f"{', '.join(names)}, {tags[names[0]]['uom']}" for names in panels.values()]
    assert all(tags[name]["uom"] == tags[names[0]]["uom"] for names in panels.values() for name in names)


def test_a_table_without_rows_shows_its_columns(viz: Viz) -> None:
    preview = viz.node("rejected_readings")["preview"]
    assert preview["columns"][-2:] == ["source_file", "reason"]
    assert preview["data"] == []


def test_a_node_shows_its_code_and_parameters(viz: Viz) -> None:
    node = viz.node("build_overview")
    assert node["code"].startswith("def build_overview(")
    assert node["parameters"]["overview"]["min_readings"] == 1


@pytest.mark.parametrize("table", MADE_BY)
def test_a_node_shows_the_sql_that_gives_its_table(viz: Viz, lake: Lake, table: str) -> None:
    shown, made = viz.node(table), viz.node(MADE_BY[table])["preview"]
    assert made["kind"] == "text"
    assert str(lake.folder) not in made["content"]
    assert max(map(len, made["content"].splitlines())) < 150
    with duckdb.connect(lake.warehouse, read_only=True) as connection:
        found = connection.sql(made["content"])
        if shown["preview_type"] == "TablePreview":
            assert found.columns == shown["preview"]["columns"]
        assert shown["stats"]["columns"] == len(found.columns)
        assert shown["stats"]["rows"] == len(found)
        name = made["content"].splitlines()[1].partition(":")[0]
        if not name.startswith("marts."):
            # The last digits of sums of floats are not the same each time.
            exact = [column for column, kind in zip(found.columns, found.types, strict=True) if str(kind) != "DOUBLE"]
            kept = connection.sql(f"SELECT {', '.join(exact)} FROM {name}")
            computed = found.project(", ".join(exact))
            assert len(kept.except_(computed)) == len(computed.except_(kept)) == 0


def test_a_node_says_what_its_columns_are_and_where_they_come_from(viz: Viz) -> None:
    assert ORIGINS_IN_DIM_BATCH in viz.node("describe_batches")["preview"]["content"]
    assert ORIGINS_IN_THE_OVERVIEW in viz.node("build_overview")["preview"]["content"]


def test_the_manifest_has_no_sql_and_says_so(viz: Viz, lake: Lake) -> None:
    content = viz.node("inspect_raw_files")["preview"]["content"]
    assert "No SQL computes it" in content
    assert "\nrows_rejected (BIGINT): Rows that were set aside" in content
    assert str(lake.folder) not in content
    assert viz.node("raw_files")["stats"]["rows"] == len(list((lake.folder / "data/01_raw/bioreactor").iterdir()))


def test_no_answer_holds_the_embedded_servers_password(viz: Viz, lake: Lake) -> None:
    answers = viz.all_answers()
    assert "mart_bioreactor_overview" in answers
    assert lake.password not in answers + viz.log.read_text()


def test_viz_does_not_wait_for_a_run(viz: Viz, lake: Lake) -> None:
    with duckdb.connect(lake.warehouse):
        started = time.monotonic()
        preview = viz.node("dim_batch")["preview"]
        content = viz.node("build_overview")["preview"]["content"]
        assert time.monotonic() - started < 5
    assert preview["data"][0][0].startswith("The warehouse is in use.")
    assert "\n\nThe warehouse is in use." in content


def test_what_is_missing_is_said_and_no_secret_told(start_viz: Callable[..., Viz], lake: Lake) -> None:
    warehouse = lake.folder / "nowhere.duckdb"
    viz = start_viz(BIOREACTOR_LAKE_WAREHOUSE=str(warehouse), BIOREACTOR_LAKE_RAW="s3://bucket/raw", **planted(lake))
    assert "Build it with: kedro run" in viz.node("dim_batch")["preview"]["data"][0][0]
    for name in ("read_landed_files", "inspect_raw_files", *MADE_BY.values()):
        assert "Build it with: kedro run" in viz.node(name)["preview"]["content"]
    assert "127.0.0.1:1/lake" in viz.node("mart_bioreactor_overview")["preview"]["data"][0][0]
    (note,) = viz.node("mart_bioreactor_timeline")["preview"]["layout"]["annotations"]
    assert "127.0.0.1:1/lake" in note["text"]
    assert "http://127.0.0.1:1 cannot be reached" in viz.node("raw_folder")["preview"]["data"][0][0]
    assert told(lake, viz.all_answers() + viz.log.read_text()) == []
    assert not warehouse.exists()


def test_a_run_that_failed_tells_no_secret(start_viz: Callable[..., Viz], lake: Lake) -> None:
    secrets = planted(lake)
    try:
        with pytest.raises(AssertionError, match=r"127\.0\.0\.1:1/lake") as failed:
            lake.kedro("run", "--params", "full_refresh=true", **secrets)
        viz = start_viz(**secrets)
        assert "127.0.0.1:1/lake" in viz.text("run-status")
        assert told(lake, str(failed.value) + viz.all_answers() + viz.log.read_text()) == []
        lake.kedro("viz", "build", "--include-previews", BIOREACTOR_LAKE_RAW="s3://bucket/raw", **secrets)
        site = [path.read_text(errors="replace") for path in (lake.folder / "build").rglob("*") if path.is_file()]
        assert any("SELECT" in page for page in site)
        assert told(lake, "".join(site)) == []
    finally:
        lake.kedro("run")


@pytest.mark.nightly
def test_rows_are_counted_after_each_run_also_of_views(start_viz: Callable[..., Viz], lake: Lake) -> None:
    counted = {
        "raw_files": "raw.files",
        "raw_bioreactor": "raw.bioreactor",
        "rejected_readings": "staging.rejected_readings",
        "stg_bioreactor": "staging.stg_bioreactor",
        "fact_bioreactor_batch_stats": "curated.fact_bioreactor_batch_stats",
    }

    def compare(*arguments: str) -> dict[str, int]:
        lake.kedro("run", *arguments)
        viz = start_viz()
        found = {name: viz.node(name)["stats"]["rows"] for name in counted}
        with duckdb.connect(lake.warehouse, read_only=True) as connection:
            assert found == {name: len(connection.sql(f"FROM {table}")) for name, table in counted.items()}
        return found

    before = compare()
    again = lake.folder / "data/01_raw/bioreactor/again.parquet"
    with duckdb.connect() as connection:
        first = again.with_name("B-0001.parquet")
        # A batch of its own, and rows without a tag.
        connection.execute(
            f"COPY (SELECT * REPLACE ('B-0099' AS batch_id, nullif(tag, 'ph') AS tag) FROM '{first}') TO '{again}'"
        )
    try:
        ingested = compare("--pipeline", "ingestion")
        assert ingested["rejected_readings"] > 0
        assert ingested["stg_bioreactor"] > before["stg_bioreactor"]
        assert compare()["fact_bioreactor_batch_stats"] > before["fact_bioreactor_batch_stats"]
    finally:
        again.unlink()
        after = compare()
    assert after["stg_bioreactor"] == before["stg_bioreactor"]
