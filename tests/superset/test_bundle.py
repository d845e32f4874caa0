"""The assets as they are in the project: whole, described, without secrets, and in order for people's eyes."""

from __future__ import annotations

import io
import uuid
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from bioreactor_lake.errors import LakeError
from bioreactor_lake.postgres import data_quality, run_history, set_aside
from bioreactor_lake.superset.bundle import Documentation, read_bundle, zip_bundle

PROJECT = Path(__file__).parents[2]
ASSETS = PROJECT / "deploy" / "superset" / "assets"
MARTS_URL = "postgresql+psycopg2://lake_reader:s3cret@db:5433/lake"


def documentation() -> Documentation:
    columns = yaml.safe_load((PROJECT / "conf/base/globals.yml").read_text())["columns"]
    tags = yaml.safe_load((PROJECT / "conf/base/tags.yml").read_text())
    tables = {
        mart.MART.partition(".")[2]: {name: text for name, (_, text) in mart.COLUMNS.items()}
        for mart in (data_quality, run_history, set_aside)
    }
    return Documentation(columns, tables, {tag: said.get("uom") for tag, said in tags.items()})


@pytest.fixture(scope="module")
def assets() -> dict[str, dict[str, Any]]:
    return read_bundle(ASSETS, documentation(), MARTS_URL)


def of_kind(assets: dict[str, dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {path: asset for path, asset in assets.items() if path.startswith(f"{kind}/")}


def test_names_of_assets_are_theirs_for_ever(assets: dict[str, dict[str, Any]]) -> None:
    found = [uuid.UUID(asset["uuid"]) for path, asset in assets.items() if path != "metadata.yaml"]
    assert {one.version for one in found} == {5}
    assert len(set(found)) == len(found)
    databases = {asset["uuid"] for asset in of_kind(assets, "databases").values()}
    datasets = {asset["uuid"] for asset in of_kind(assets, "datasets").values()}
    charts = {asset["uuid"]: asset for asset in of_kind(assets, "charts").values()}
    assert {asset["database_uuid"] for asset in of_kind(assets, "datasets").values()} == databases
    assert {asset["dataset_uuid"] for asset in charts.values()} == datasets
    shown = [
        part["meta"]["uuid"]
        for asset in of_kind(assets, "dashboards").values()
        for part in asset["position"].values()
        if isinstance(part, dict) and part["type"] == "CHART"
    ]
    assert sorted(shown) == sorted(charts)


def test_the_bundle_has_no_password_and_is_the_same_each_time(assets: dict[str, dict[str, Any]]) -> None:
    bundle = zip_bundle(assets)
    assert bundle == zip_bundle(read_bundle(ASSETS, documentation(), MARTS_URL))
    with zipfile.ZipFile(io.BytesIO(bundle)) as opened:
        texts = [opened.read(name).decode() for name in opened.namelist()]
    assert any("//lake_reader:XXXXXXXXXX@db:5433/lake" in text for text in texts)
    assert not any("s3cret" in text for text in texts)


def test_every_column_and_metric_is_described(assets: dict[str, dict[str, Any]]) -> None:
    known = documentation()
    for path, dataset in of_kind(assets, "datasets").items():
        for one in (*dataset["columns"], *dataset["metrics"]):
            assert one["description"], (path, one)
            assert "$" not in one["description"] + one.get("expression", "")
    overview = assets["datasets/bioreactor_lake/mart_bioreactor_overview.yaml"]
    columns = {one["column_name"]: one for one in overview["columns"]}
    assert columns["avg_value"]["description"] == known.columns["avg_value"]
    assert "WHEN 'titer' THEN 'titer [g/L]'" in columns["tag_with_unit"]["expression"]
    # What is described elsewhere is not described again.
    for path in (ASSETS / "datasets").rglob("*.yaml"):
        dataset = yaml.safe_load(path.read_text())
        if "sql" not in dataset:
            described = {one["column_name"] for one in dataset["columns"] if "description" in one}
            assert described <= {"tag_with_unit"}


def test_axes_say_what_they_are_and_times_their_zone(assets: dict[str, dict[str, Any]]) -> None:
    types = {
        asset["uuid"]: {one["column_name"]: one["type"] for one in asset["columns"]}
        for asset in of_kind(assets, "datasets").values()
    }
    for path, chart in of_kind(assets, "charts").items():
        params, columns = chart["params"], types[chart["dataset_uuid"]]
        if "x_axis" in params:
            assert params["y_axis_title"], path
            if columns[params["x_axis"]].startswith("TIMESTAMP"):
                assert "UTC" in params["x_axis_title"], path
        if "y_axis_title" in params:
            assert params["color_scheme"] == "bioreactor_lake"
            assert "$" not in params["x_axis_title"] + params["y_axis_title"]
    assert assets["charts/age_titer.yaml"]["params"]["y_axis_title"] == "Titer [g/L]"
    for asset in of_kind(assets, "datasets").values():
        for one in asset["columns"]:
            if one["type"].startswith("TIMESTAMP") and "verbose_name" in one:
                assert "UTC" in one["verbose_name"]


def test_each_dashboard_filters_and_says_when_it_was_published(assets: dict[str, dict[str, Any]]) -> None:
    published = {
        asset["uuid"] for path, asset in of_kind(assets, "charts").items() if asset["slice_name"] == "Last published"
    }
    for path, dashboard in of_kind(assets, "dashboards").items():
        names = [one["name"] for one in dashboard["metadata"]["native_filter_configuration"]]
        assert {"Site", "Equipment", "Batch"} <= set(names), path
        assert {"Tag", "Table"} & set(names), path
        assert any("UTC" in name for name in names), path
        assert dashboard["metadata"]["cross_filters_enabled"]
        shown = {part["meta"].get("uuid") for part in dashboard["position"].values() if "meta" in part}
        assert shown & published


def test_what_is_described_nowhere_is_an_error() -> None:
    with pytest.raises(LakeError, match=r"\$unit_of_nothing stands in Superset's assets"):
        documentation().fill("$unit_of_nothing", None)
    with pytest.raises(LakeError, match="holds no assets"):
        read_bundle(PROJECT / "src", documentation(), MARTS_URL)
