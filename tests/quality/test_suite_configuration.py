"""Suites in Kedro's configuration: one file per table, exported ones as they are, environments that change little."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kedro.config import OmegaConfigLoader
from tests.quality.small_tables import Engine

from bioreactor_lake.errors import UsageError
from bioreactor_lake.quality.checks import check_table
from bioreactor_lake.quality.configuration import QualitySettings
from bioreactor_lake.quality.suite import Suite, read_suites
from bioreactor_lake.quality.tags import Tag
from bioreactor_lake.settings import CONFIG_LOADER_ARGS

PROJECT = Path(__file__).parents[2]
EXPORTED = Path(__file__).with_name("exported_by_great_expectations.json")


def load(source: Path, env: str | None = None, tables: list[str] | None = None) -> QualitySettings:
    return QualitySettings.load(OmegaConfigLoader(str(source), env=env, **CONFIG_LOADER_ARGS), tables)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    for env in ("base", "local", "prod"):
        (tmp_path / env / "suites").mkdir(parents=True)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.write_text(text)


def by_id(suite: Suite) -> dict[str, Any]:
    return {one.id: one for one in suite.expectations}


def test_the_projects_own_suites_are_understood() -> None:
    settings = load(PROJECT / "conf")
    assert set(settings.suites) == {
        "stg_bioreactor", "dim_batch", "fact_bioreactor_batch_stats", "fact_sample_result",
        "int_bioreactor_downsample_5m", "mart_bioreactor_overview", "mart_bioreactor_timeline",
    }  # fmt: skip
    assert len(settings.tags) == 24
    assert settings.equipment == {}
    assert by_id(settings.suites["dim_batch"])["newest_batch"].severity == "warn"
    assert by_id(load(PROJECT / "conf", "prod").suites["dim_batch"])["newest_batch"].severity == "error"


def test_what_great_expectations_exports_is_read_as_it_is(conf: Path) -> None:
    write(conf / "base" / "suites" / "overview_table.json", EXPORTED.read_text())
    suite = load(conf).suites["overview_table"]
    assert (suite.name, suite.table) == ("overview", "overview_table")
    assert [one.type for one in suite.expectations] == [
        one["type"] for one in json.loads(EXPORTED.read_text())["expectations"]
    ]
    assert [one.severity for one in suite.expectations] == ["error", "warn", "warn", "error", "error", "error"]
    rows = [{"tag": "ph", "avg_value": 7.0}] * 19 + [{"tag": "ph", "avg_value": 8.0}, {"tag": "do", "avg_value": 40.0}]
    table = Engine.duckdb().table(
        [{**row, "reading_count": 1} for row in rows], avg_value="DOUBLE", reading_count="BIGINT"
    )
    verdicts = check_table(table, suite)
    assert [verdict.success for verdict in verdicts] == [True] * 6
    worse = table.mutate(avg_value=table.avg_value + (table.avg_value == 7.0).cast("int64"), reading_count=table.n - 1)
    failed = [verdict for verdict in check_table(worse, suite) if not verdict.success]
    assert [(verdict.failing_rows, len(verdict.samples)) for verdict in failed] == [(20, 5), (21, 5)]


def test_an_environment_changes_one_severity_and_one_argument_and_leaves_one_out(conf: Path) -> None:
    write(
        conf / "base" / "suites" / "readings.yml",
        """
        expectations:
          few: {type: expect_column_values_to_not_be_null, kwargs: {column: value, mostly: 0.9}, severity: warn}
          none: {type: expect_column_to_exist, kwargs: {column: x}}
          same: {type: expect_column_to_exist, kwargs: {column: tag}}
        """,
    )
    write(
        conf / "prod" / "suites" / "readings.yml",
        "expectations: {few: {severity: fatal, kwargs: {mostly: 0.99}}, none: null,"
        " more: {type: expect_column_to_exist, kwargs: {column: ts}}}",
    )
    base, prod = by_id(load(conf).suites["readings"]), by_id(load(conf, "prod").suites["readings"])
    assert (base["few"].severity, base["few"].kwargs["mostly"]) == ("warn", 0.9)
    assert (prod["few"].severity, prod["few"].kwargs) == ("fatal", {"column": "value", "mostly": 0.99})
    assert list(base) == ["few", "none", "same"]
    assert list(prod) == ["few", "same", "more"]


def test_an_environment_changes_an_exported_suite_by_ids(conf: Path) -> None:
    write(conf / "base" / "suites" / "readings.json", EXPORTED.read_text())
    changed = "d4e32fa1-df29-4879-a53a-25282ec8347d"
    write(conf / "prod" / "suites" / "readings.yml", f"expectations: {{{changed}: {{severity: error}}}}")
    prod = load(conf, "prod").suites["readings"]
    assert len(prod.expectations) == 6
    assert by_id(prod)[changed].severity == "error"
    assert by_id(prod)[changed].kwargs["mostly"] == 0.95


@pytest.mark.parametrize(
    ("env", "name", "text", "named"),
    [
        ("prod", "readings.yml", "expectations: {fw: {severity: error}}", ["fw", "Did you mean few"]),
        ("prod", "readings.yml", "expectations: {fw: null}", ["fw"]),
        ("base", "reading.yml", "expectations: {}", ["reading", "Did you mean readings"]),
        ("base", "readings.json", "{}", ["two suites of readings"]),
        ("prod", "readings.yml", "expectations: [", ["prod/suites/readings.yml"]),
        ("prod", "readings.yml", "- a\n- b", ["prod/suites/readings.yml"]),
    ],
)
def test_mistakes_in_files_are_named(conf: Path, env: str, name: str, text: str, named: list[str]) -> None:
    write(
        conf / "base" / "suites" / "readings.yml",
        "expectations: {few: {type: expect_column_values_to_not_be_null, kwargs: {column: value}}}",
    )
    write(conf / env / "suites" / name, text)
    with pytest.raises(UsageError) as caught:
        load(conf, "prod", ["readings"])
    assert all(word in str(caught.value) for word in named), caught.value


def test_a_project_without_suites_has_none(tmp_path: Path) -> None:
    for env in ("base", "local"):
        (tmp_path / env).mkdir()
    assert load(tmp_path) == QualitySettings({}, {}, {})


def test_parameters_of_a_suite_are_filled_in() -> None:
    between = {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "a", "min_value": {"$PARAMETER": "low"}},
    }
    suite = read_suites({"t": {"expectations": [between], "suite_parameters": {"low": 3}}})["t"]
    assert suite.expectations[0].kwargs["min_value"] == 3


def test_a_fingerprint_changes_with_what_verdicts_depend_on() -> None:
    def fingerprint(tags: dict[str, Tag] | None = None, **changes: Any) -> str:
        one = {
            "type": "expect_column_values_to_be_between_per_tag", "kwargs": {"column": "value", "limits": "physical"},
            "severity": "error", "description": "values", **changes,
        }  # fmt: skip
        return read_suites({"t": {"expectations": {"it": one}}})["t"].fingerprint(tags)

    ph = Tag("ph", "Acidity", "pH", 0, 14)
    first = fingerprint({"ph": ph})
    assert first == fingerprint({"ph": ph}, description="others") == fingerprint({"ph": Tag("ph", "pH", "1", 0, 14)})
    others = [
        fingerprint({"ph": Tag("ph", "Acidity", "pH", 0, 13)}),
        fingerprint({"ph": ph}, severity="warn"),
        fingerprint({"ph": ph}, kwargs={"column": "value", "limits": "expected"}),
        fingerprint({"ph": ph}, row_condition="value > 1"),
        fingerprint({"ph": ph}, meta={"scope": "table"}),
    ]
    assert len({first, *others}) == 6
    # The same in every process and on every machine.
    assert first == "e5cb266b1a08d1bbbc972aefb5b1f3fc"
