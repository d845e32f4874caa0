"""Runs translated suites through Great Expectations and writes its Data Docs."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bioreactor_lake.data_docs.translation import Translated
from bioreactor_lake.errors import LakeError, UsageError

_PARTS = ("index.html", "expectations", "validations", "static", "profiling")


@dataclass(frozen=True)
class Answer:
    """What Great Expectations found of one expectation.

    Args:
        table: The table, as the catalog names it.
        expectation: The expectation's id.
        severity: What a failure means to the lake.
        success: Whether it is met.
        rows: Rows that were looked at, as far as it says so.
        unexpected: How many rows, or batches, fail; None where it counts none.
        error: Why it could not be found out; empty where it could.
    """

    table: str
    expectation: str
    severity: str
    success: bool
    rows: int | None = None
    unexpected: int | None = None
    error: str = ""


def refuse_without_great_expectations() -> None:
    """Make sure that it is installed.

    Raises:
        LakeError: It is not.
    """
    from importlib.util import find_spec

    if find_spec("great_expectations") is None or find_spec("psycopg2") is None:
        raise LakeError(
            "Great Expectations is not installed.",
            next_step="pip install 'bioreactor-lake[gx]', or: pip install --require-hashes -r requirements-dev.lock",
        )


def ask_great_expectations(
    suites: Mapping[str, Sequence[Translated]], places: Mapping[str, tuple[str, str]], url: str, folder: Path | None
) -> list[Answer]:
    """Ask suites of tables in Postgres, and write Data Docs.

    Args:
        suites: Translated expectations by table.
        places: Schema and name in Postgres of each table.
        url: Of the database.
        folder: Where the pages go, replacing those of earlier times; None for no pages.

    Raises:
        UsageError: There is something else in the folder.
    """
    # Before it is imported: it would tell its makers how it is used.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    _mend_quantiles()
    logging.getLogger(gx.__name__).setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_postgres(
        "marts", connection_string=_driven(url), kwargs={"connect_args": {"options": "-c TimeZone=UTC"}}
    )
    definitions = []
    for table, translated in suites.items():
        schema, name = places[table]
        asset = source.add_table_asset(table, table_name=name, schema_name=schema)
        suite = gx.ExpectationSuite(table, expectations=[one.asked for one in translated if one.asked is not None])
        definitions.append(
            context.validation_definitions.add(
                gx.ValidationDefinition(
                    name=table,
                    data=asset.add_batch_definition_whole_table("whole table"),
                    suite=context.suites.add(suite),
                )
            )
        )
    actions = []
    if folder is not None:
        _clear(folder)
        backend = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.resolve())}
        index = {"class_name": "DefaultSiteIndexBuilder", "show_cta_footer": False}
        context.add_data_docs_site(
            "lake", {"class_name": "SiteBuilder", "site_index_builder": index, "store_backend": backend}
        )
        actions = [gx.checkpoint.UpdateDataDocsAction(name="data_docs", site_names=["lake"])]
    checkpoint = gx.Checkpoint(
        name="marts", validation_definitions=definitions, actions=actions, result_format="SUMMARY"
    )
    found = context.checkpoints.add(checkpoint).run(
        run_id=gx.RunIdentifier(run_name="marts", run_time=datetime.now(UTC))
    )
    results = {result.suite_name: result.results for result in found.run_results.values()}
    return [answer for table, translated in suites.items() for answer in _answers(table, translated, results[table])]


def _answers(table: str, translated: Sequence[Translated], results: Sequence[Any]) -> list[Answer]:
    by_id = {result.expectation_config.meta["expectation"]: result for result in results}
    return [_answer(table, one, by_id.get(one.expectation.id)) for one in translated]


def _answer(table: str, one: Translated, result: Any) -> Answer:
    expectation = one.expectation
    if result is None:
        return Answer(table, expectation.id, expectation.severity, False, error=one.why_not)
    found, raised = result.result or {}, result.exception_info or {}
    if "raised_exception" not in raised:  # one for each metric that could not be had
        raised = next((each for each in raised.values() if each.get("raised_exception")), {})
    observed = found.get("observed_value")
    is_query = result.expectation_config.type == "unexpected_rows_expectation"
    return Answer(
        table,
        expectation.id,
        expectation.severity,
        bool(result.success),
        rows=found.get("element_count"),
        unexpected=observed if is_query else found.get("unexpected_count"),
        error=str(raised.get("exception_message", "")) if raised.get("raised_exception") else "",
    )


def _mend_quantiles() -> None:
    """Let it keep what it finds of quantiles: its answer is one of numpy's, which it cannot write as JSON (1.24)."""
    from great_expectations.expectations.core import ExpectColumnQuantileValuesToBeBetween as Quantiles

    validate = Quantiles._validate
    if getattr(validate, "is_mended", False):
        return

    def mended(self: Any, *arguments: Any, **named: Any) -> Any:
        answer = validate(self, *arguments, **named)
        return {**answer, "success": bool(answer["success"])}

    mended.is_mended = True  # type: ignore[attr-defined]
    Quantiles._validate = mended


def _driven(url: str) -> str:
    """A URL for SQLAlchemy; Great Expectations would take a dollar for a variable."""
    return "postgresql+psycopg2://" + url.partition("://")[2].replace("$", "%24")


def _clear(folder: Path) -> None:
    if folder.exists() and (others := [one.name for one in folder.iterdir() if one.name not in _PARTS]):
        raise UsageError(f"{folder} has {others[0]} in it, which is none of the Data Docs.", next_step="Name another.")
    for part in _PARTS:
        path = folder / part
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
