"""`kedro lake backup` and `kedro lake restore`: what no run can build again."""

from __future__ import annotations

from pathlib import Path

import click
from kedro.framework.cli.utils import env_option

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("folder", type=_FOLDER)
@env_option
def backup(folder: Path, env: str | None) -> None:
    """Write what no run can build again into FOLDER: releases, the history of runs and files, results of checks.

    Raw files and conf/ are yours to keep; all else follows from them. See docs/restore.md.
    """
    from bioreactor_lake.cli.session import open_catalog
    from bioreactor_lake.datasets import MANIFEST
    from bioreactor_lake.datasets.backup import write_backup

    target = folder.resolve()
    with open_catalog(env) as catalog:
        for table, rows in write_backup(catalog[MANIFEST].warehouse_config, target).items():
            click.echo(f"{table:<18} {rows:,} rows")
    click.echo(f"Kept in {target}")


@click.command()
@click.argument("folder", type=_FOLDER)
@env_option
def restore(folder: Path, env: str | None) -> None:
    """Begin a new warehouse with what FOLDER keeps; the next run builds the rest from the raw files."""
    from bioreactor_lake.cli.session import open_catalog
    from bioreactor_lake.datasets import MANIFEST
    from bioreactor_lake.datasets.backup import restore_backup
    from bioreactor_lake.lake.runs import running

    source = folder.resolve()
    with running(), open_catalog(env) as catalog:
        for table, rows in restore_backup(catalog[MANIFEST].warehouse_config, source).items():
            click.echo(f"{table:<18} {rows:,} rows")
    click.echo("Next: kedro run")
