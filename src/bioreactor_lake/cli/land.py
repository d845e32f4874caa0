"""`kedro lake land`: originals into the landing zone."""

from __future__ import annotations

from pathlib import Path

import click
from kedro.framework.cli.utils import env_option


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--source", required=True, help="Where they come from: the folder that they are kept in.")
@env_option
def land(files: tuple[Path, ...], source: str, env: str | None) -> None:
    """Keep files, or folders of files, as they are; the next run reads them by a profile.

    They are copied byte for byte and written into the ledger of the landing zone, with their SHA-256, the time and the
    user. What is there already is passed over; another file of the same name takes its place, and the earlier one is
    kept. Of a folder its own name is kept too. Exit codes: 0, 1 a file could not be kept, 2 usage.
    """
    from bioreactor_lake.cli.session import open_project
    from bioreactor_lake.landing.zone import confirm_source
    from bioreactor_lake.landing.zone import land as land_files

    with open_project(env) as context:
        place = context.catalog["landing_zone"].open()
        confirm_source(source)
        new = known = 0
        for given in files:
            for path, is_new in land_files(place, source, given):
                new, known = new + is_new, known + (not is_new)
                if is_new:
                    click.echo(f"Landed {path}")
        there = f", {known:,} were there already" if known else ""
        click.echo(f"{new:,} landed in {place.root}{there}. Read them: kedro run")
