"""`kedro lake superset`: the dashboards on a server of yours, or on one of your own machine."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.cli.utils import env_option

if TYPE_CHECKING:
    from bioreactor_lake.postgres.database import Database
    from bioreactor_lake.superset.local import LocalSuperset, Place

_MAIL_TO = click.option(
    "--mail-to", multiple=True, metavar="ADDRESS", help="Who gets the 08:00 report and the alert; repeatable."
)


@click.group()
def superset() -> None:
    """Superset's dashboards on the marts: bring them to a server, or have a server of your own."""


@superset.command()
@click.option("--url", required=True, help="Where Superset answers, such as http://localhost:8088.")
@click.option("--user", default="admin", show_default=True, help="Who imports; an administrator.")
@click.option("--marts", help="Where Superset finds the marts: postgresql://lake_reader@host:5432/database.")
@click.option(
    "--from",
    "source",
    type=click.Path(file_okay=False, path_type=Path),
    help="Another folder than the project's deploy/superset.",
)
@_MAIL_TO
@env_option
def deploy(
    url: str, user: str, marts: str | None, source: Path | None, mail_to: tuple[str, ...], env: str | None
) -> None:
    """Bring datasets, charts, dashboards, the report and the alert to a Superset server; again changes nothing.

    Whatever was changed there by hand is as in the project afterwards. The user's password is
    BIOREACTOR_LAKE_SUPERSET_PASSWORD, that of lake_reader BIOREACTOR_LAKE_READER_PASSWORD, or the files that these
    names with _FILE name.
    """
    from bioreactor_lake.cli.session import open_project
    from bioreactor_lake.environment import read_secret
    from bioreactor_lake.errors import UsageError
    from bioreactor_lake.postgres.database import release_embedded
    from bioreactor_lake.postgres.roles import READER
    from bioreactor_lake.superset.addresses import spell_address
    from bioreactor_lake.superset.client import SupersetClient

    with open_project(env) as context:
        passwords = {
            name: read_secret(name) for name in ("BIOREACTOR_LAKE_SUPERSET_PASSWORD", "BIOREACTOR_LAKE_READER_PASSWORD")
        }
        for name, password in passwords.items():
            if not password:
                raise UsageError(
                    f"{name} is not set.", kept="Nothing was changed.", next_step=f"Set it, or {name}_FILE."
                )
        try:
            address = spell_address(marts or _marts(context).url, _user_of(marts) or READER)
            client = SupersetClient(url, user, passwords["BIOREACTOR_LAKE_SUPERSET_PASSWORD"])
            _deploy(context, client, address, passwords["BIOREACTOR_LAKE_READER_PASSWORD"], mail_to, source)
        finally:
            release_embedded()


@superset.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8088, show_default=True, help="0 for a free one.")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes that answer.")
@click.option("--reports", is_flag=True, help="Make reports as well: SUPERSET_SMTP_HOST and others say how to mail.")
@_MAIL_TO
@env_option
def up(port: int, workers: int, reports: bool, mail_to: tuple[str, ...], env: str | None) -> None:
    """Keep a Superset up on this machine until Ctrl-C, with the dashboards in it.

    It is installed into data/superset, in an environment of its own, by requirements-superset.lock. Its own database is
    beside the marts, which it reads as lake_reader. Reports need Chromium on this machine.
    """
    from bioreactor_lake.cli.session import open_project
    from bioreactor_lake.errors import LakeError
    from bioreactor_lake.postgres.database import release_embedded
    from bioreactor_lake.superset.client import SupersetClient
    from bioreactor_lake.superset.local import choose_port

    ended = threading.Event()
    with open_project(env) as context:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda *_: ended.set())
        server = None
        try:
            place, port = _place(context), choose_port(port)
            server, address, password = _prepare(context, place, port)
            server.start(workers=workers, reports=reports)
            client = SupersetClient(server.url, "admin", place.secret("admin_password"))
            _deploy(context, client, address, password, mail_to)
            click.echo(
                f"Superset is up until Ctrl-C: {server.url}\n"
                f"  user      admin\n  password  cat {place.password_file}\n  log       {place.log}"
            )
            while not ended.wait(1.0):
                if server.ended():
                    raise LakeError("A process of Superset has ended.", next_step=f"Read the end of {place.log}.")
        finally:
            if server is not None:
                server.stop()
            release_embedded()
    click.echo("Superset has ended.")


def _prepare(context: Any, place: Place, port: int) -> tuple[LocalSuperset, str, str]:
    """A server that is installed and has its tables, the address of the marts, and the password for them."""
    import hashlib

    from kedro.framework.project import pipelines
    from psycopg.conninfo import conninfo_to_dict

    from bioreactor_lake.cli.roles import find_database
    from bioreactor_lake.datasets.mart_shapes import find_shapes
    from bioreactor_lake.errors import LakeError, UsageError
    from bioreactor_lake.postgres.roles import READER, apply_roles
    from bioreactor_lake.superset.addresses import spell_address
    from bioreactor_lake.superset.environment import link_browser
    from bioreactor_lake.superset.local import LocalSuperset, read_mail
    from bioreactor_lake.superset.metadata import ensure_database
    from bioreactor_lake.virtual_environment import ensure_environment

    place.make()
    lock = Path(context.project_path) / "requirements-superset.lock"
    python = ensure_environment("Superset", place.environment, lock, click.echo)
    link_browser(python, place.browsers)
    database, credentials = find_database(context)
    password = str(credentials.get("reader_password") or "")
    if not password and not database.is_embedded:
        raise UsageError(
            f"BIOREACTOR_LAKE_READER_PASSWORD is not set, and {READER} of {database.name} may be in use elsewhere.",
            kept="Nothing was changed.",
            next_step="Set it, or BIOREACTOR_LAKE_READER_PASSWORD_FILE.",
        )
    password = password or place.secret("reader_password")
    shapes = find_shapes(context.catalog, pipelines["__default__"])
    database.attempt(
        lambda connection: apply_roles(connection, shapes, {READER: password}),
        what="Setting up lake_reader",
        kept="Nothing was changed.",
    )
    had_key = (place.folder / "secret_key").exists()
    own = f"{conninfo_to_dict(database.url)['dbname']}_superset"
    is_new = ensure_database(database.url, own, place.secret("database_password"))
    if not (is_new or had_key):
        raise LakeError(
            f"The database {own} is of another folder than {place.folder}: its key is not here.",
            kept="It is as it was.",
            next_step=f"Name that folder in BIOREACTOR_LAKE_SUPERSET_FOLDER, or begin anew: DROP DATABASE {own}",
        )
    server = LocalSuperset(place, python, port, spell_address(database.url, own, own), read_mail())
    version = hashlib.sha256(lock.read_bytes() + (place.settings / "prepare.py").read_bytes()).hexdigest()
    prepared = place.folder / "prepared"
    if is_new or not prepared.exists() or prepared.read_text() != version:
        click.echo("Superset's own database is brought up to date.")
        server.prepare()
        prepared.write_text(version)
    return server, spell_address(database.url, READER), password


def _deploy(
    context: Any, client: Any, address: str, password: str, mail_to: tuple[str, ...], source: Path | None = None
) -> None:
    from bioreactor_lake.superset.bundle import read_bundle
    from bioreactor_lake.superset.deployment import deploy_assets, deploy_schedules, read_schedules
    from bioreactor_lake.superset.documentation import read_documentation

    folder = source or Path(context.project_path) / "deploy" / "superset"
    assets = read_bundle(folder / "assets", read_documentation(context), address)
    changed = deploy_assets(client, assets, password)
    if mail_to:
        zone = context.params["schedule"]["zone"]
        changed += deploy_schedules(client, read_schedules(folder / "schedules.yaml"), mail_to, zone)
    click.echo(
        f"{client.url} has {len(assets) - 1} assets, {f'{len(changed)} changed' if changed else 'all unchanged'}."
    )
    for one in changed if len(changed) < len(assets) - 1 else ():  # not where everything is new
        click.echo(f"  {one}")


def _marts(context: Any) -> Database:
    from bioreactor_lake.datasets.marts import MartDataset

    catalog = context.catalog
    mart: MartDataset = next(catalog[name] for name in catalog.filter(by_type=MartDataset))
    return mart.database


def _user_of(url: str | None) -> str | None:
    from psycopg.conninfo import conninfo_to_dict

    return str(conninfo_to_dict(url).get("user") or "") or None if url else None


def _place(context: Any) -> Place:
    from bioreactor_lake.environment import read_variable
    from bioreactor_lake.superset.local import Place

    project = Path(context.project_path)
    folder = Path(read_variable("BIOREACTOR_LAKE_SUPERSET_FOLDER", "data/superset"))
    return Place(project / folder, project / "deploy" / "superset")
