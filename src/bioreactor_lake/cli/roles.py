"""`kedro lake roles`: who may do what in Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from kedro.framework.cli.utils import env_option

if TYPE_CHECKING:
    from bioreactor_lake.postgres.database import Database


@click.group()
def roles() -> None:
    """The roles of the lake in Postgres: lake_owner, lake_writer for the pipeline, lake_reader for dashboards."""


@roles.command()
@env_option
def show(env: str | None) -> None:
    """Print the SQL of roles, marts and rights, for review; nothing is asked of a server."""
    from kedro.framework.project import pipelines

    from bioreactor_lake.cli.session import open_catalog
    from bioreactor_lake.datasets.mart_shapes import find_shapes
    from bioreactor_lake.postgres.roles import spell_roles

    with open_catalog(env) as catalog:
        click.echo(spell_roles(find_shapes(catalog, pipelines["__default__"])), nl=False)


@roles.command()
@env_option
def apply(env: str | None) -> None:
    """Create the roles and their rights, or bring them up to date, and with them the tables of the marts.

    It is done by the administrator of BIOREACTOR_LAKE_POSTGRES_ADMIN_URL, on the embedded server by its own user. Where
    BIOREACTOR_LAKE_WRITER_PASSWORD or BIOREACTOR_LAKE_READER_PASSWORD is set, that role gets it and may log in. Repeat
    it after an upgrade, and when a mart is new or gets other columns.
    """
    from kedro.framework.project import pipelines

    from bioreactor_lake.cli.session import open_context
    from bioreactor_lake.datasets.mart_shapes import find_shapes
    from bioreactor_lake.postgres.roles import READER, WRITER, apply_roles

    with open_context(env) as context:
        shapes = find_shapes(context.catalog, pipelines["__default__"])
        database, credentials = find_database(context)
        given = {WRITER: credentials.get("writer_password"), READER: credentials.get("reader_password")}
        passwords = {role: str(password) for role, password in given.items() if password}
        database.attempt(
            lambda connection: apply_roles(connection, shapes, passwords),
            what="Setting up the roles",
            kept="Nothing was changed.",
        )
        click.echo(f"lake_owner, lake_writer and lake_reader are set up in {database.name}.")
        for shape in shapes:
            click.echo(f"  {shape.schema}.{shape.name}  {len(shape.columns)} columns")
        for role in given.keys() - passwords.keys():
            click.echo(f"{role} got no password here; it logs in if it could before.")


def find_database(context: Any) -> tuple[Database, dict[str, Any]]:
    """The database as its administrator connects to it, and what is secret about its roles."""
    from bioreactor_lake.datasets.marts import MartDataset
    from bioreactor_lake.errors import UsageError
    from bioreactor_lake.postgres.binaries import URL_VARIABLE
    from bioreactor_lake.postgres.database import Database

    credentials = dict(context.config_loader["credentials"].get("postgres_admin") or {})
    catalog = context.catalog
    mart: MartDataset = next(catalog[name] for name in catalog.filter(by_type=MartDataset))
    url = credentials.get("url")
    if not url and not mart.database.is_embedded:
        raise UsageError(
            f"{URL_VARIABLE} is the pipeline's, who does not create roles.",
            kept="Nothing was changed.",
            next_step="Set BIOREACTOR_LAKE_POSTGRES_ADMIN_URL to the same database with an administrator's name and "
            "password.",
        )
    return Database({**mart.database.config, "attempts": 1}, url), credentials
