"""`kedro lake dictionary`: every table and column, with types, units, checks and origins."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from kedro.framework.cli.utils import env_option

if TYPE_CHECKING:
    from bioreactor_lake.dictionary.entries import Dictionary, Entry


@click.command()
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@click.option("--format", "form", type=click.Choice(["markdown", "json"]), default="markdown", show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write pages into this folder instead.")
@env_option
def dictionary(tables: tuple[str, ...], form: str, out: Path | None, env: str | None) -> None:
    """Say what tables and columns are: types, units, meaning, origin and checks; of all where none is named.

    It is read off the catalog, the suites and the code; neither raw files nor a warehouse need be there.
    """
    from bioreactor_lake.cli.run import exit_codes
    from bioreactor_lake.dictionary.pages import write_entry, write_pages
    from bioreactor_lake.errors import UsageError

    with exit_codes():
        found = _gather(env)
        if out is not None:
            if tables or form == "json":
                raise UsageError("--out writes pages of all tables.", next_step="Leave tables and --format out.")
            out.mkdir(parents=True, exist_ok=True)
            for name, text in write_pages(found).items():
                (out / name).write_text(text, encoding="utf-8")
            click.echo(f"The data dictionary: {out}")
            return
        entries = _choose([*found.entries, *found.records], tables)
    if form == "json":
        click.echo(json.dumps([asdict(entry) for entry in entries], indent=2, ensure_ascii=False, default=str))
    else:
        click.echo("\n\n".join(write_entry(entry) for entry in entries))


def _gather(env: str | None) -> Dictionary:
    from kedro.framework.project import pipelines

    from bioreactor_lake.cli.session import open_context
    from bioreactor_lake.dictionary.entries import gather

    with open_context(env) as context:
        return gather(context.catalog, pipelines["__default__"], context.config_loader)


def _choose(entries: Sequence[Entry], tables: Sequence[str]) -> Sequence[Entry]:
    from bioreactor_lake.quality.expectations import refuse

    for table in tables:
        if not any(table in (entry.name, entry.name.partition(".")[2], entry.dataset) for entry in entries):
            refuse(f"There is no table {table!r}.", table, [entry.name for entry in entries])
    if not tables:
        return entries
    return [one for one in entries if {one.name, one.name.partition(".")[2], one.dataset} & set(tables)]
