"""`kedro lake run`: a run for some batches only."""

from __future__ import annotations

import click
from kedro.framework.cli.utils import env_option

from bioreactor_lake.cli.run import run


@click.command(name="run")
@click.option(
    "--batch", "batches", multiple=True, required=True, metavar="ID", help="A batch; may be given repeatedly."
)
@click.option("--pipeline", help="Only this pipeline's tables. [default: all]")
@env_option
def backfill(batches: tuple[str, ...], pipeline: str | None, env: str | None) -> None:
    """Write some batches again in every table and mart, even where they are up to date, and no others.

    Other batches that are out of date stay so until the next `kedro run`; `kedro lake status` shows them. Ids are text
    and taken as they are. Messages and exit codes are those of `kedro run`.
    """
    from bioreactor_lake.lake.runs import running

    options = [("--pipeline", pipeline), ("--env", env)]
    with running() as this_run:
        this_run.batches = batches
        run.main([text for name, value in options if value for text in (name, value)], standalone_mode=False)
