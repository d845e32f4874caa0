"""`kedro lake compact`: small raw files of finished batches, copied together."""

from __future__ import annotations

from typing import Literal

import click
from kedro.framework.cli.utils import env_option


@click.command()
@click.option(
    "--finished-days", type=click.FloatRange(min=0), default=7, show_default=True,
    help="Copy files of batches of which no file was written for so long.",
)  # fmt: skip
@click.option(
    "--by", type=click.Choice(["date", "batch"]), default="date", show_default=True,
    help="One folder for each month, or for each batch.",
)  # fmt: skip
@env_option
def compact(finished_days: float, by: Literal["date", "batch"], env: str | None) -> None:
    """Copy small raw files of finished batches together, so that they scan well.

    Copies lie beside the warehouse and are read in place of their originals, which stay. Nothing becomes out of date.
    """
    from bioreactor_lake.cli.session import open_catalog
    from bioreactor_lake.datasets import MANIFEST
    from bioreactor_lake.lake.runs import running

    with running(), open_catalog(env) as catalog:
        copies, deleted = catalog[MANIFEST].compact(finished_days=finished_days, by=by)
    for copy in copies:
        before, after = copy.bytes_before / 1e6, copy.bytes_after / 1e6
        click.echo(f"{copy.location}: {len(copy.originals):,} files, {before:,.1f} MB in {after:,.1f} MB")
    if not copies:
        click.echo(
            "There is nothing to compact: no two small files are of one schema, and of batches that nobody wrote to "
            f"for {finished_days:g} days (--finished-days)."
        )
    if deleted:
        click.echo(f"Deleted {deleted:,} copies that stood for their originals no longer.")
