"""`kedro lake status`: how every table stands."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.cli.utils import env_option

from bioreactor_lake.cli.console import UNBOUND, open_console, spell_size

if TYPE_CHECKING:
    from bioreactor_lake.datasets.status import TableStatus

_COLOURS = {"fresh": "green", "stale": "yellow", "never built": "yellow"}


@click.command()
@click.option("--format", "as_format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@env_option
def status(as_format: str, env: str | None) -> None:
    """Show where every table is, how large, and whether it is fresh.

    A table is fresh where it holds what the files of the manifest say; `kedro lake plan` is what looks for new files
    in the raw folder, and counts rows. Nothing is written. Exit codes: 0, 1 the warehouse cannot be read, 4 it was
    locked for too long.
    """
    from kedro.framework.project import pipelines

    from bioreactor_lake.cli.session import open_catalog
    from bioreactor_lake.datasets.status import find_status

    with open_catalog(env) as catalog:
        tables = find_status(catalog, pipelines["__default__"])
    if as_format == "json":
        click.echo(json.dumps([_fields(table) for table in tables], indent=2))
    else:
        _print_table(tables)


def _fields(table: TableStatus) -> dict[str, Any]:
    stored = table.storage
    return {
        "table": table.table,
        "place": stored and stored.place,
        "format": stored and stored.format,
        "size_bytes": stored and stored.size_bytes,
        "compression": stored and stored.compression,
        "rows": stored and stored.rows,
        "freshness": table.freshness,
        "stale_batches": table.stale_batches,
        "written_at": stored.written_at.isoformat() if stored and stored.written_at else None,
        "run_id": stored and stored.run_id,
        "note": table.note,
    }


def _print_table(tables: tuple[TableStatus, ...]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # A terminal shows the columns that it has room for.
    unbound, console = Console(width=UNBOUND), open_console()
    columns = dict(_COLUMNS)
    while True:
        shown = Table(box=box.SIMPLE_HEAD)
        for name in columns:
            right = name in ("Stale batches", "Rows", "Size")
            shown.add_column(name, justify="right" if right else "left", no_wrap=True)
        for table in tables:
            style = {"Freshness": _COLOURS.get(table.freshness, "red")}
            shown.add_row(*(Text(spell(table), style=style.get(name, "")) for name, spell in columns.items()))
        if len(columns) <= _ALWAYS or unbound.measure(shown).maximum <= console.width:
            break
        columns.popitem()
    console.print(shown)
    if missing := [name for name in _COLUMNS if name not in columns]:
        click.echo(f"A wider terminal, a pipe and --format json show also: {', '.join(missing)}.")
    for table in tables:
        if table.note:
            click.echo(f"{table.table}: {table.note}")


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _near(place: str | None) -> str:
    """A path as it is seen from here."""
    if place is None:
        return "-"
    try:
        return str(Path(place).relative_to(Path.cwd()))
    except ValueError:
        return place


_ALWAYS = 3
_COLUMNS: Mapping[str, Callable[[TableStatus], str]] = {
    "Table": lambda table: table.table,
    "Freshness": lambda table: table.freshness,
    "Stale batches": lambda table: _number(table.stale_batches),
    "Rows": lambda table: _number(_fields(table)["rows"]),
    "Size": lambda table: spell_size(_fields(table)["size_bytes"]),
    "Written (UTC)": lambda table: (_fields(table)["written_at"] or "-")[:16].replace("T", " "),
    "Format": lambda table: _fields(table)["format"] or "-",
    "Compression": lambda table: _fields(table)["compression"] or "-",
    "Place": lambda table: _near(_fields(table)["place"]),
    "Run": lambda table: _fields(table)["run_id"] or "-",
}
