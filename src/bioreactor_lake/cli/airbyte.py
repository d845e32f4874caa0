"""`kedro lake airbyte`: connections of Airbyte's connectors."""

from __future__ import annotations

from pathlib import Path

import click
from kedro.framework.cli.utils import env_option


@click.group()
def airbyte() -> None:
    """Connections of Airbyte's connectors: what they extract lands."""


@airbyte.command()
@click.argument("name")
@click.option("--full", is_flag=True, help="Extract everything anew, and not only what is new.")
@env_option
def sync(name: str, full: bool, env: str | None) -> None:
    """Extract what is new of the connection NAME (conf/*/airbyte.yml); the next run reads it by its profile.

    PyAirbyte and the connector are installed into data/airbyte, each in an environment of its own. State is there too:
    what was extracted and has not landed, such as after a crash, lands with the next sync. Exit codes: 0 done, 1
    failed, 2 usage.
    """
    from bioreactor_lake.airbyte.connections import find_connection
    from bioreactor_lake.airbyte.sync import Sync
    from bioreactor_lake.cli.session import open_project
    from bioreactor_lake.landing.zone import confirm_source

    with open_project(env) as context:
        project, loader = Path(context.project_path), context.config_loader
        try:
            credentials = loader["credentials"]
        except KeyError:
            credentials = {}
        connection = find_connection(name, loader["airbyte"].get("connections") or {}, credentials, project)
        confirm_source(connection.source)
        place = context.catalog["landing_zone"].open()
        sync = Sync(connection, project / "data" / "airbyte", project / "requirements-airbyte.lock", place)
        landed = sync.run(click.echo, full=full)
        for one in landed:
            what = f"Landed {one.path}, {one.records:,} records" if one.path else f"{one.stream}: nothing new"
            click.echo(what)
        if any(one.path for one in landed):
            click.echo("Read them: kedro run")
