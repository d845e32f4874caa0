"""`kedro lake trace`: where a column comes from, down to raw files, and what depends on it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click
from kedro.framework.cli.utils import env_option

if TYPE_CHECKING:
    from bioreactor_lake.datasets.tracing import RawFile
    from bioreactor_lake.lineage.graph import LineageGraph, Step


@click.command()
@click.argument("name", metavar="TABLE[.COLUMN]")
@click.option("--batch", help="Go on to the raw files that hold this batch.")
@click.option("--downstream", is_flag=True, help="What depends on it: what breaks if it changes.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "json"]),
    default="text",
    show_default=True,
    help="Output.",
)
@env_option
def trace(name: str, batch: str | None, downstream: bool, form: str, env: str | None) -> None:
    """Say where a column comes from, with each transformation, or list what the columns of a table are made of.

    The schema may be left out where no two tables have the name. The column * stands for the rows of the table.
    """
    from bioreactor_lake.cli.run import exit_codes
    from bioreactor_lake.cli.traces import print_trace
    from bioreactor_lake.errors import UsageError

    with exit_codes():
        if batch and downstream:
            raise UsageError(
                "--batch asks for raw files, --downstream for what is built on them.", next_step="Leave one out."
            )
        graph, files = _look_up(batch, env)
        table, column = graph.find(name)
        steps = _follow(graph, table, column, downstream)
    for untraced, reason in graph.untraced.items():
        click.secho(f"{untraced} is not followed: {reason}", err=True, fg="yellow")
    print_trace([_hold(step, files) for step in steps] if batch else steps, form, files, downstream=downstream)


def _look_up(batch: str | None, env: str | None) -> tuple[LineageGraph, list[RawFile]]:
    from kedro.framework.project import pipelines

    from bioreactor_lake.cli.session import open_catalog
    from bioreactor_lake.datasets.tracing import collect_expressions, find_raw_files
    from bioreactor_lake.lineage.graph import link_tables

    with open_catalog(env) as catalog:
        graph = link_tables(collect_expressions(catalog, pipelines["__default__"]))
        return graph, find_raw_files(catalog, batch) if batch else []


def _follow(graph: LineageGraph, table: str, column: str | None, downstream: bool) -> list[Step]:
    from bioreactor_lake.lineage.origins import ROWS

    if column is not None:
        return [graph.downstream(table, column) if downstream else graph.upstream(table, column)]
    if downstream:
        return [graph.downstream(table, ROWS)]
    # One level; the rows of a batch go on to its files.
    columns = [graph.upstream(table, name) for name in graph.columns(table)]
    short = [
        replace(step, steps=tuple(replace(one, steps=(), decided_by=()) for one in step.steps)) for step in columns
    ]
    return [*short, graph.upstream(table, ROWS)]


def _hold(step: Step, files: list[RawFile]) -> Step:
    """A trace without the raw columns of files that do not hold the batch."""
    from bioreactor_lake.datasets.parquet_views import PARQUET_VIEW

    holding = {file.table for file in files}

    def holds(table: str) -> bool:
        return table in holding or not table.startswith(f"raw.{PARQUET_VIEW}")

    return replace(
        step,
        decided_by=tuple(one for one in step.decided_by if holds(one.table)),
        steps=tuple(_hold(one, files) for one in step.steps if holds(one.table)),
    )
