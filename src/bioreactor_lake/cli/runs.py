"""`kedro lake runs`: what runs there were, and what became of one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.cli.utils import env_option

from bioreactor_lake.cli.console import open_console

if TYPE_CHECKING:
    from bioreactor_lake.datasets.warehouse import WarehouseConfig
    from bioreactor_lake.lake.history import RunRecord

_STATUSES = ("completed", "nothing_to_do", "failed", "interrupted", "killed", "held", "running")
_COLOURS = {
    "completed": "green",
    "nothing_to_do": "green",
    "interrupted": "yellow",
    "held": "yellow",
    "running": "cyan",
}
# A UUIDv7 begins with the time in milliseconds, in so many characters.
_SHORT = 13
_format = click.option("--format", "as_format", type=click.Choice(["text", "json"]), default="text", show_default=True)


@click.group(invoke_without_command=True)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest first.")
@click.option("--status", "statuses", type=click.Choice(_STATUSES), multiple=True, help="Only these; repeatable.")
@_format
@env_option
@click.pass_context
def runs(context: click.Context, limit: int, statuses: tuple[str, ...], as_format: str, env: str | None) -> None:
    """Show the newest runs: when, how long, how they ended, what was asked for, and who started them.

    `kedro lake runs show ID` shows one with its nodes. A run that holds the warehouse is not waited for. Exit codes:
    0, 1 the warehouse cannot be read, 4 it is locked.
    """
    context.obj = env
    if context.invoked_subcommand is not None:
        return
    from bioreactor_lake.datasets.history_reading import find_runs

    with _warehouse(env) as config:
        found = find_runs(config, limit=limit, statuses=statuses)
    if as_format == "json":
        click.echo(json.dumps([_fields(run) for run in found], indent=2))
    elif not found:
        click.echo("No run is recorded yet." if not statuses else f"No run is {' or '.join(statuses)}.")
    else:
        _print_runs(found)


@runs.command()
@click.argument("run_id", metavar="[ID]", default="")
@_format
@env_option
@click.pass_context
def show(context: click.Context, run_id: str, as_format: str, env: str | None) -> None:
    """Show one run with its nodes: the newest, or that whose id begins so.

    Exit codes: 0, 1 the warehouse cannot be read, 2 there is no such run or there are several, 4 it is locked.
    """
    from bioreactor_lake.datasets.history_reading import find_run

    with _warehouse(env or context.obj) as config:
        found = find_run(config, run_id)
    if as_format == "json":
        nodes = [_node_fields(node) for node in found.nodes]
        click.echo(json.dumps({**_fields(found), "parameters": found.parameters, "nodes": nodes}, indent=2))
    else:
        _print_run(found)


@contextmanager
def _warehouse(env: str | None) -> Iterator[WarehouseConfig]:
    from bioreactor_lake.cli.session import open_catalog
    from bioreactor_lake.datasets import MANIFEST

    with open_catalog(env) as catalog:
        yield catalog[MANIFEST].warehouse_config


def _fields(run: RunRecord) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "started_at": run.started_at.isoformat(),
        "ended_at": run.ended_at and run.ended_at.isoformat(),
        "seconds": _seconds(run),
        "status": run.status,
        "asked": run.asked,
        "rows": run.rows,
        "batches": run.batches,
        "bytes": run.bytes,
        "error": run.error,
        "host": run.host,
        "user": run.user,
        "started_by": run.started_by,
        "versions": run.versions,
    }


def _node_fields(node: Any) -> dict[str, Any]:
    return {
        "node": node.node,
        "pipeline": node.pipeline,
        "table": node.table,
        "started_at": node.started_at.isoformat(),
        "ended_at": node.ended_at and node.ended_at.isoformat(),
        "seconds": _seconds(node),
        "status": node.status,
        "rows": node.rows,
        "batches": node.batches,
        "bytes": node.bytes,
        "reason": node.reason or None,
        "error": node.error,
    }


def _print_runs(found: list[RunRecord]) -> None:
    rows = [
        {
            "Run": run.run_id[:_SHORT],
            "Started (UTC)": f"{run.started_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            "Took": _took(_seconds(run)),
            "Status": run.status,
            "What": _what(run),
            "Rows": f"{run.rows:,}",
            "Batches": f"{run.batches:,}",
            "By": run.started_by,
        }
        for run in found
    ]
    _print_table(rows)
    for run in found:
        if run.error:
            click.echo(f"{run.run_id[:_SHORT]}: {run.error}")


def _print_run(run: RunRecord) -> None:
    ended = f", ended {run.ended_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if run.ended_at else ""
    click.echo(f"Run {run.run_id}: ", nl=False)
    click.secho(run.status, fg=_COLOURS.get(run.status, "red"))
    click.echo(f"Started {run.started_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}{ended} UTC, {_took(_seconds(run))}")
    click.echo(f"Asked for: {_what(run)}")
    click.echo(f"By {run.started_by} ({run.user} on {run.host})")
    if run.error:
        click.secho(run.error, fg="red" if run.status == "failed" else "yellow")
    _print_table(
        [
            {
                "Node": node.node,
                "Table": node.table,
                "Status": node.status,
                "Rows": "-" if node.rows is None else f"{node.rows:,}",
                "Batches": "-" if node.batches is None else f"{node.batches:,}",
                "Raw MB": "-" if node.bytes is None else f"{node.bytes / 1e6:,.1f}",
                "Seconds": "-" if _seconds(node) is None else f"{_seconds(node):,.2f}",
                "Why as a whole": node.reason,
            }
            for node in run.nodes
        ]
    )
    click.echo("Versions: " + ", ".join(f"{name} {version}" for name, version in run.versions.items()))
    click.echo(f"Parameters: {json.dumps(run.parameters)}")


def _print_table(rows: list[dict[str, str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in rows[0]:
        right = name in ("Took", "Rows", "Batches", "Raw MB", "Seconds")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        style = {"Status": _COLOURS.get(row["Status"], "red")}
        table.add_row(*(Text(text, style=style.get(name, "")) for name, text in row.items()))
    open_console().print(table)


def _what(run: RunRecord) -> str:
    """What was asked for, in few words."""
    parts = []
    for name, value in run.asked.items():
        if name == "parameters":
            parts.append(" ".join(f"{key}={json.dumps(one)}" for key, one in value.items()))
        elif name == "environment":
            parts.append(f"--env {value}")
        elif name == "pipelines":
            parts.append(" ".join(value))
        else:
            parts.append(f"{name} {', '.join(map(str, value))}")
    return " · ".join(parts) or "everything"


def _seconds(one: Any) -> float | None:
    end = one.ended_at or (datetime.now(UTC) if one.status == "running" else None)
    return None if end is None else round((end - one.started_at).total_seconds(), 3)


def _took(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
