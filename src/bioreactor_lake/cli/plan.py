"""`kedro lake plan`: what the next run would do, and why, without doing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click
from kedro.framework.cli.utils import env_option

if TYPE_CHECKING:
    from bioreactor_lake.datasets.landed_identity import Foreseen
    from bioreactor_lake.datasets.planning import RunPlan

_SHOWN = 10


@click.command()
@env_option
def plan(env: str | None) -> None:
    """Say what the next run would do, and why, without doing it."""
    from kedro.framework.project import pipelines

    from bioreactor_lake.cli.session import open_catalog
    from bioreactor_lake.datasets.planning import plan_run

    with open_catalog(env) as catalog:
        planned = plan_run(catalog, pipelines["__default__"])
    say_plan(planned)


def say_plan(planned: RunPlan) -> None:
    """Say what was planned."""
    _say_landed(planned.landed)
    _say_files(planned.files)
    if planned.refusal:
        click.secho(planned.refusal, fg="yellow")
    for table in planned.tables:
        if table.held:
            click.secho(
                f"{table.table}: {len(table.held):,} batches held: {', '.join(table.held[:_SHOWN])}", fg="yellow"
            )
        if table.up_to_date:
            click.echo(f"{table.table}: up to date")
            continue
        total = "" if table.total is None else f" of {table.total:,}"
        extent = f"as a whole: {table.reason}" if table.reason else f"{len(table.stale):,}{total} batches"
        gone = f", {len(table.gone):,} deleted" if table.gone else ""
        click.echo(f"{table.table}: {extent}{gone}")
        for batch in (*table.stale, *table.gone)[:_SHOWN] if not table.reason else ():
            click.echo(f"  {batch}: {planned.causes.get(batch, 'a table below it changed')}")
        if not table.reason and len(table.stale) + len(table.gone) > _SHOWN:
            click.echo(f"  and {len(table.stale) + len(table.gone) - _SHOWN:,} more")


def _say_landed(landed: Sequence[Foreseen]) -> None:
    for file in landed[:_SHOWN]:
        reader = f", read by {file.reader}" if file.reader else ""
        batches = f"; batches {', '.join(file.batches[:_SHOWN])}" if file.batches else ""
        more = f" and {len(file.batches) - _SHOWN:,} more" if len(file.batches) > _SHOWN else ""
        click.echo(f"landed file {file.path}: {file.what}{reader}{batches}{more}")
    if len(landed) > _SHOWN:
        click.echo(f"and {len(landed) - _SHOWN:,} more landed files")


def _say_files(files: Mapping[str, str]) -> None:
    if not files:
        click.echo("raw files: as they were")
    for path, what in list(files.items())[:_SHOWN]:
        click.echo(f"raw file {path}: {what}")
    if len(files) > _SHOWN:
        click.echo(f"and {len(files) - _SHOWN:,} more raw files")
