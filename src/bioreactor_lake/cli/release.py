"""`kedro lake release`: publish held batches as they are, on somebody's word."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import click
from kedro.framework.cli.utils import env_option


@click.command()
@click.argument("batches", nargs=-1, required=True, metavar="BATCH...")
@click.option("--reason", required=True, help="Why they may be published as they are; kept for ever.")
@env_option
def release(batches: tuple[str, ...], reason: str, env: str | None) -> None:
    """Let the next run publish held batches as they are now.

    A release counts for the data and the logic as they are now: when either changes and the batch fails again, it is
    held again. Who released what, when and why is kept in quality.releases.
    """
    from kedro.framework.project import pipelines

    from bioreactor_lake.cli.session import open_catalog
    from bioreactor_lake.datasets.releases import find_unread, release_batches
    from bioreactor_lake.lake.runs import running

    if not reason.strip():
        raise click.BadParameter("a release needs a reason", param_hint="--reason")
    with running(), open_catalog(env) as catalog:
        released = release_batches(catalog, pipelines["__default__"], batches, reason.strip())
        unread = find_unread(catalog, released)
    notices = _tell(released, reason.strip(), env)
    for batch, holds in released.items():
        click.echo(f"{batch} is released: {'; '.join(hold.reason for hold in holds)}")
        if batch in unread:
            click.echo(f"None of the files of {batch} can be read now: that run takes its rows out of the marts.")
    for notice in notices:
        click.echo(notice)
    click.echo("Next: kedro run --pipeline marts")


def _tell(released: Collection[str], reason: str, env: str | None) -> list[str]:
    """Tell that the holds are over, so that a batch which fails again is news."""
    from kedro.utils import find_kedro_project

    from bioreactor_lake.alerts.messages import Ending
    from bioreactor_lake.alerts.telling import tell_of
    from bioreactor_lake.environment import find_user

    how = Ending("Released", find_user(), reason)
    return tell_of("held", [], find_kedro_project(Path.cwd()) or Path.cwd(), env=env, fine=released, how=how)
