"""What a run shows at its end: the batches that it published and where to go from there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import click

from bioreactor_lake.lake.runs import Run

_SHOWN = 12
_NEXT = (
    ("kedro viz run", "browse the pipeline, its tables and their lineage"),
    ("jupyter lab", "explore: notebooks/first_look.ipynb"),
    ("kedro lake psql", "query the marts"),
)


def print_summary(run: Run) -> None:
    """Print the newest published batches and the next commands, if the run published the overview."""
    mart = "mart_bioreactor_overview"
    if run.catalog is None or not any(write.table == f"marts.{mart}" for write in run.writes):
        return
    batches, total = _published(run.catalog[mart])
    _print_table(batches, total)
    click.echo("\nNext:")
    typed = [(_as_typed(command), purpose) for command, purpose in _NEXT]
    width = max(len(command) for command, _ in typed)
    for command, purpose in typed:
        click.echo(f"  {command:<{width}}  {purpose}")


def _published(mart: Any) -> tuple[list[tuple[Any, ...]], int]:
    with mart.database.connect() as connection:
        rows = connection.execute(
            f"SELECT batch_id, min(site), min(main_equipment_id), min(batch_start), min(duration_hours), "
            f"count(DISTINCT tag), sum(reading_count) FROM {mart.qualified_name} "
            f"GROUP BY batch_id ORDER BY min(batch_start) DESC, batch_id LIMIT {_SHOWN}"
        ).fetchall()
        (total,) = connection.execute(f"SELECT count(DISTINCT batch_id) FROM {mart.qualified_name}").fetchone()
    return rows, total


def _print_table(batches: list[tuple[Any, ...]], total: int) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=f"{total:,} batches in the marts", title_justify="left")
    for name in ("Batch", "Site", "Equipment", "Start (UTC)"):
        table.add_column(name)
    for name in ("Hours", "Tags", "Readings"):
        table.add_column(name, justify="right")
    for batch, site, equipment, start, hours, tags, readings in batches:
        cells = (batch, site or "", equipment, f"{start:%Y-%m-%d %H:%M}", f"{hours:,.1f}", f"{tags:,}", f"{readings:,}")
        table.add_row(*map(Text, cells))
    if total > len(batches):
        table.caption = f"the newest {len(batches)}"
    Console().print(table)


def _as_typed(command: str) -> str:
    """The command as it works in this shell: with its folder where the virtual environment is not active."""
    name = command.split()[0]
    folder = Path(sys.executable).parent
    if shutil.which(name) == str(folder / name):
        return command
    try:
        return f"{folder.relative_to(Path.cwd())}/{command}"
    except ValueError:
        return f"{folder}/{command}"
