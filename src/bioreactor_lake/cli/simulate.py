"""The command `simulate`: raw files of simulated batches to try, test and measure the lake with."""

import sys
from datetime import datetime
from pathlib import Path

import click


@click.command()
@click.option("--batches", type=click.IntRange(min=1), default=6, show_default=True, help="Batches, one file each.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for B-0001.parquet and on; made when missing.",
)
@click.option(
    "--readings",
    type=click.IntRange(min=1000),
    default=100_000,
    show_default=True,
    help="Readings a batch, within 2 %.",
)
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Same seed, same batches.")
@click.option(
    "--reactors", type=click.IntRange(min=1), default=12, show_default=True, help="Reactors that run side by side."
)
@click.option(
    "--start",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    default="2026-01-05T06:00",
    show_default=True,
    help="Earliest start of the first batch, UTC.",
)
@click.option("--workers", type=click.IntRange(min=1), default=None, help="Processes. [default: one per processor]")
@click.option("--overwrite", is_flag=True, help="Replace files that have other content.")
def simulate(
    batches: int,
    out: Path,
    readings: int,
    seed: int,
    reactors: int,
    start: datetime,
    workers: int | None,
    overwrite: bool,
) -> None:
    """Simulate fed-batch runs of CHO cells as raw Parquet files."""
    from bioreactor_lake.errors import LakeError
    from bioreactor_lake.simulation import write_batches

    try:
        written = write_batches(
            out,
            batches=batches,
            readings=readings,
            seed=seed,
            start=start,
            reactors=reactors,
            workers=workers,
            overwrite=overwrite,
        )
    except LakeError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    kept = f" ({written.unchanged:,} unchanged)" if written.unchanged else ""
    megabytes = f"{written.size_bytes / 1e6:,.1f} MB"
    click.echo(f"Simulated {written.files:,} files{kept}: {written.rows:,} readings, {megabytes} in {out}")
