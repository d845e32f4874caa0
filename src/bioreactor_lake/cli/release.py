"""`kedro lake release`: publish held batches as they are, on somebody's word."""

from __future__ import annotations

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
    from bioreactor_lake.datasets import MANIFEST, warehouse
    from bioreactor_lake.datasets.gate import find_all_holds, find_states, release
    from bioreactor_lake.datasets.planning import expressions
    from bioreactor_lake.errors import UsageError
    from bioreactor_lake.lake.runs import running

    with running(), open_catalog(env) as catalog:
        if not reason.strip():
            raise UsageError("A release needs a reason.", next_step="Say why the batch may be published as it is.")
        manifest = catalog[MANIFEST]
        manifest.load()
        backend = warehouse.connect(manifest.warehouse_config, write=True)
        tables = [(one, made) for one, made in expressions(catalog, pipelines["__default__"]) if made is not None]
        holds = find_all_holds(backend, tables)
        if unknown := [batch for batch in batches if batch not in holds]:
            held = ", ".join(list(holds)[:10]) or "none"
            raise UsageError(f"{', '.join(unknown)} is not held.", next_step=f"Held now: {held}.")
        states = {batch: find_states(backend, tables, batch) for batch in batches}
        with warehouse.transaction(backend):
            for batch in batches:
                release(backend, holds[batch], states[batch], reason.strip())
    for batch in batches:
        click.echo(f"{batch} is released: {'; '.join(hold.reason for hold in holds[batch])}")
    click.echo("Next: kedro run --pipeline marts")
