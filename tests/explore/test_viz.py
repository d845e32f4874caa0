"""What Kedro-Viz tells of the lake, over plain HTTP."""

import time
from collections.abc import Callable

import duckdb
import pytest
from project_copy import Lake, Viz

SOME_COLUMNS = {
    "raw_folder": ["path", "size_bytes", "modified_at"],
    "raw_bioreactor": ["batch_id", "equipment_id", "ts", "tag", "value", "source_file"],
    "stg_bioreactor": ["batch_id", "equipment_id", "site", "ts", "tag", "value", "value_text", "unit", "source_file"],
    "int_bioreactor_downsample_5m": ["batch_id", "equipment_id", "tag", "ts_5m", "avg_value", "reading_count"],
    "dim_batch": ["batch_id", "site", "equipment_id", "batch_start", "batch_end", "duration_hours"],
    "fact_bioreactor_batch_stats": ["batch_id", "equipment_id", "tag", "avg_value", "stddev_value"],
    "mart_bioreactor_overview": ["batch_id", "equipment_id", "tag", "site", "batch_start", "avg_value"],
    "mart_bioreactor_timeline": ["batch_id", "equipment_id", "tag", "ts_5m", "avg_value", "hours_since_start"],
}


def test_the_four_layers_are_in_order(viz: Viz) -> None:
    assert viz.get("main")["layers"] == ["raw", "staging", "curated", "marts"]


@pytest.mark.parametrize("name", SOME_COLUMNS)
def test_a_table_shows_columns_and_rows(viz: Viz, name: str) -> None:
    node = viz.node(name)
    assert node["preview_type"] == "TablePreview"
    preview = node["preview"]
    assert set(SOME_COLUMNS[name]) <= set(preview["columns"])
    assert len(preview["data"]) == 5
    assert all(len(row) == len(preview["columns"]) and row[0] for row in preview["data"])


def test_a_table_without_rows_shows_its_columns(viz: Viz) -> None:
    preview = viz.node("rejected_readings")["preview"]
    assert preview["columns"][-2:] == ["source_file", "reason"]
    assert preview["data"] == []


def test_a_node_shows_its_code_and_parameters(viz: Viz) -> None:
    node = viz.node("build_overview")
    assert node["code"].startswith("def build_overview(")
    assert node["parameters"]["overview"]["min_readings"] == 1


def test_no_answer_holds_the_embedded_servers_password(viz: Viz, lake: Lake) -> None:
    answers = viz.all_answers()
    assert "mart_bioreactor_overview" in answers
    assert lake.password not in answers + viz.log.read_text()


def test_viz_does_not_wait_for_a_run(viz: Viz, lake: Lake) -> None:
    with duckdb.connect(lake.warehouse):
        started = time.monotonic()
        preview = viz.node("dim_batch")["preview"]
        assert time.monotonic() - started < 5
    assert preview["data"][0][0].startswith("The warehouse is in use.")


def test_what_is_missing_is_said_and_no_secret_told(start_viz: Callable[..., Viz], lake: Lake) -> None:
    secret = "s3cret-of-the-url"
    viz = start_viz(
        BIOREACTOR_LAKE_WAREHOUSE=str(lake.folder / "nowhere.duckdb"),
        BIOREACTOR_LAKE_POSTGRES_URL=f"postgresql://lake:{secret}@127.0.0.1:1/lake",
    )
    assert "Build it with: kedro run" in viz.node("dim_batch")["preview"]["data"][0][0]
    assert "127.0.0.1:1/lake" in viz.node("mart_bioreactor_overview")["preview"]["data"][0][0]
    assert secret not in viz.all_answers() + viz.log.read_text()
    assert not (lake.folder / "nowhere.duckdb").exists()
