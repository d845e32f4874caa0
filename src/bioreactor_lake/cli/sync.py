"""`kedro lake sync`: what is new in LIMS, ELN and other sources lands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.utils import env_option

_EXAMPLES = "\b\n  kedro lake sync lims\n  kedro lake sync lims results --full\n"


@click.command(epilog=f"Examples:\n\n{_EXAMPLES}")
@click.argument("source", required=False)
@click.argument("tables", nargs=-1)
@click.option("--full", "whole", is_flag=True, help="Ask for all records, also where a watermark says what is new.")
@click.option("--allow-empty", is_flag=True, help="Take an answer without records for what it says, once.")
@env_option
def sync(source: str | None, tables: tuple[str, ...], whole: bool, allow_empty: bool, env: str | None) -> None:
    """Fetch what is new in a source of parameters_sources.yml, or in all; the next run reads it.

    What comes lands unchanged, as Parquet, with its SHA-256, the time, the user and the run in the ledger. A table
    lands as a whole or not at all; where nothing is new, nothing lands. An answer without records, where the last one
    had some, is an error. Exit codes: 0, 1 something could not be fetched, 2 usage, 4 another sync of the source is
    under way, 130 and 143 interrupted.
    """
    from bioreactor_lake.cli.session import open_project
    from bioreactor_lake.errors import LakeError, UsageError
    from bioreactor_lake.sources.source import read_sources

    with open_project(env) as context:
        sources = read_sources(context.params.get("sources"))
        if source is not None and source not in sources:
            there = f"Use {', '.join(sources)}." if sources else "Describe it in conf/base/parameters_sources.yml."
            raise UsageError(f"There is no source {source!r}.", next_step=f"{there} See docs/lims.md.")
        if not sources:
            raise UsageError(
                "No source is configured.", next_step="Describe one in conf/base/parameters_sources.yml: docs/lims.md."
            )
        wanted = [source] if source is not None else [*sources]
        for table in tables:
            if table not in sources[wanted[0]].tables:
                raise UsageError(
                    f"The source {wanted[0]} has no table {table!r}.",
                    next_step=f"Use {', '.join(sources[wanted[0]].tables)}.",
                )
        failed: list[LakeError] = []
        for name in wanted:
            try:
                _sync(context, sources[name], tables, whole=whole, allow_empty=allow_empty, env=env)
            except LakeError as error:
                # Other sources need not wait for it.
                failed.append(error)
                if name != wanted[-1]:
                    click.echo(f"{error}", err=True)
        if failed:
            raise next((one for one in failed if one.exit_code == 1), failed[0]) if len(wanted) > 1 else failed[0]


def _sync(
    context: Any, source: Any, tables: tuple[str, ...], *, whole: bool, allow_empty: bool, env: str | None
) -> None:
    import os

    from bioreactor_lake.alerts.telling import tell_of
    from bioreactor_lake.errors import LakeError
    from bioreactor_lake.hooks.lineage_of_run import read_settings
    from bioreactor_lake.lake.incidents import SOURCE
    from bioreactor_lake.lake.retries import RetryRules
    from bioreactor_lake.lake.runs import new_run_id
    from bioreactor_lake.lineage.started_by import is_scheduled
    from bioreactor_lake.sources.lineage import SyncEvents
    from bioreactor_lake.sources.syncing import Sync, locked, own_folder

    zone, project = context.catalog["landing_zone"], Path(context.project_path)
    place = zone.open()
    folder = own_folder(place, source.name, Path(zone.warehouse_config["filepath"]).parent)
    retries = RetryRules.from_parameters(context.params["retries"], layers=(), scheduled=is_scheduled(os.environ))
    run_id, names = str(new_run_id()), tables or tuple(source.tables)
    credentials = _credentials(context, source)

    def tell(found: list[tuple[str, str]]) -> None:
        for notice in tell_of("failure", found, project, env=env, fine={f"{SOURCE}{source.name}"}):
            click.echo(notice)

    try:
        with locked(folder, source.name, context.params["run"]["lock_timeout_seconds"]):
            events = SyncEvents(read_settings(context), project, source, credentials, place.root, run_id, names)
            try:
                sync = Sync(place, folder, source, credentials, retries.usual, run_id, whole, allow_empty)
                for table in names:
                    with events.table(table) as done:
                        done.append(sync.sync(table))
                    click.echo(_describe(source.name, done[0]))
            finally:
                for notice in events.close():
                    click.echo(notice)
    except LakeError as error:
        tell([(f"{SOURCE}{source.name}", error.plain or "It could not be synced")])
        raise
    # Not where it was interrupted: nothing is known to be over then.
    tell([])


def _credentials(context: Any, source: Any) -> Mapping[str, Any]:
    from kedro.config import MissingConfigException

    from bioreactor_lake.errors import UsageError

    if source.credentials is None:
        return {}
    try:
        given = context.config_loader["credentials"]
    except MissingConfigException:
        given = {}
    found = given.get(source.credentials)
    if not isinstance(found, Mapping):
        raise UsageError(
            f"There are no credentials {source.credentials!r}, which the source {source.name} needs.",
            kept="Nothing was asked for.",
            next_step="Write them into conf/local/credentials.yml, or with ${secret:NAME} into "
            "conf/base/credentials.yml.",
        )
    return found


def _describe(source: str, done: Any) -> str:
    since = f" since {done.since}" if done.since is not None else ""
    if done.path is None:
        return f"{source}.{done.table}: nothing new ({done.rows:,} records{since})"
    return f"{source}.{done.table}: landed {done.rows:,} records{since}: {done.path}"
