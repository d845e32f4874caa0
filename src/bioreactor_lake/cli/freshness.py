"""`kedro lake freshness`: whether each layer is as new as it has to be."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.cli.utils import env_option

from bioreactor_lake.cli.console import open_console
from bioreactor_lake.lake.freshness import LAYERS, STALE, TOO_OLD, UNREACHABLE

if TYPE_CHECKING:
    from bioreactor_lake.datasets.freshness import LayerFreshness

_CODES = {UNREACHABLE: 1, STALE: 5, TOO_OLD: 6}
_COLOURS = {"fresh": "green", STALE: "yellow"}


@click.command()
@click.option("--layer", "layers", type=click.Choice(list(LAYERS)), multiple=True, help="Only this one; repeatable.")
@click.option("--format", "as_format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--deadline", help="Ask instead whether the scheduled run was done in time, such as 02:15.")
@click.option("--start", help="When the scheduled run starts, such as 02:00.  [default: schedule.start]")
@click.option("--zone", help="Time zone of both, such as Europe/Zurich.  [default: schedule.zone]")
@env_option
def freshness(
    layers: tuple[str, ...],
    as_format: str,
    deadline: str | None,
    start: str | None,
    zone: str | None,
    env: str | None,
) -> None:
    """Show how old the newest reading of each layer is, and the last run that brought it up to date.

    The limits are in conf/*/parameters_freshness.yml. A layer that was never built is older than any limit. Those who
    get alerts are told of layers that are older than they may be, once, and when they no longer are. No table is
    written, and a run that holds the warehouse is not waited for. Exit codes: 0 fresh, 5 a layer is stale, 6 one is too
    old, 1 one cannot be read, 4 the warehouse is locked.

    With --deadline: 0 every layer was brought up to date since the newest start whose deadline has passed, 6 one was
    not, or a run is still at it; that is alerted, and so is its end.
    """
    if deadline or start or zone:
        _judge_punctuality(layers, as_format, {"start": start, "deadline": deadline, "zone": zone}, env)
    from kedro.framework.project import pipelines

    from bioreactor_lake.cli.session import open_catalog
    from bioreactor_lake.datasets import MANIFEST
    from bioreactor_lake.datasets.freshness import find_freshness, worst
    from bioreactor_lake.lake.freshness import read_clock, read_limits

    now = read_clock()
    with open_catalog(env) as catalog:
        limits = read_limits(catalog.load("params:freshness"))
        found = find_freshness(
            catalog, pipelines, {name: limit for name, limit in limits.items() if not layers or name in layers}, now
        )
        warehouse = Path(catalog[MANIFEST].warehouse_config["filepath"])
    if as_format == "json":
        click.echo(json.dumps([_fields(layer, now) for layer in found], indent=2))
    else:
        _print_table(found, now)
    for notice in _alert(found, now, warehouse, env):
        click.echo(notice, err=True)
    sys.exit(_CODES.get(worst([verdict for layer in found for verdict in (layer.data, layer.run)]), 0))


def _alert(found: tuple[LayerFreshness, ...], now: datetime, warehouse: Path, env: str | None) -> list[str]:
    """Tell of layers that are older than they may be, and of those that no longer are."""
    from bioreactor_lake.alerts import state_file

    known = [layer for layer in found if layer.data != UNREACHABLE]
    old = {layer.layer: _why_old(layer, now) for layer in known if {layer.data, layer.run} & {STALE, TOO_OLD}}
    if not old and not state_file(warehouse).exists():
        return []
    from kedro.utils import find_kedro_project

    from bioreactor_lake.alerts.telling import tell_of

    fine = {layer.layer for layer in known} - old.keys()
    return tell_of("staleness", old.items(), find_kedro_project(Path.cwd()) or Path.cwd(), env=env, fine=fine)


def _why_old(layer: LayerFreshness, now: datetime) -> str:
    ages = (
        ("newest reading", layer.data, layer.newest_reading),
        ("last run that brought it up to date", layer.run, layer.last_run_at),
    )
    told = [f"its {what} is {_age(moment, now)} old" if moment else f"it has no {what}" for what, _, moment in ages]
    return " and ".join(said for said, (_, verdict, _) in zip(told, ages, strict=True) if verdict in (STALE, TOO_OLD))


def _judge_punctuality(layers: tuple[str, ...], as_format: str, given: dict[str, str | None], env: str | None) -> None:
    from bioreactor_lake.cli.deadline import judge_punctuality, tell_punctuality
    from bioreactor_lake.cli.session import open_catalog
    from bioreactor_lake.lake.freshness import read_clock

    with open_catalog(env) as catalog:
        found = judge_punctuality(catalog, layers, given, read_clock())
    if as_format == "json":
        click.echo(
            json.dumps({"start": found.start.isoformat(), "end": found.end.isoformat(), "late": dict(found.late)})
        )
    else:
        click.echo(str(found))
    for notice in tell_punctuality(found, env):
        click.echo(notice, err=True)
    sys.exit(_CODES[TOO_OLD] if found.late else 0)


def _fields(layer: LayerFreshness, now: datetime) -> dict[str, Any]:
    return {
        "layer": layer.layer,
        "freshness": layer.verdict,
        "data": layer.data,
        "newest_reading": layer.newest_reading and layer.newest_reading.isoformat(),
        "newest_reading_hours": _hours(layer.newest_reading, now),
        "newest_batch_start": layer.newest_batch_start and layer.newest_batch_start.isoformat(),
        "run": layer.run,
        "last_run_at": layer.last_run_at and layer.last_run_at.isoformat(),
        "last_run_hours": _hours(layer.last_run_at, now),
        "last_run_id": layer.last_run_id,
        "note": layer.note,
    }


def _print_table(found: tuple[LayerFreshness, ...], now: datetime) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("Layer", "Freshness", "Newest reading (UTC)", "Age", "Newest batch (UTC)", "Last run (UTC)", "Age"):
        table.add_column(name, justify="right" if name == "Age" else "left")
    for layer in found:
        table.add_row(
            layer.layer,
            Text(layer.verdict, style=_colour(layer.verdict)),
            _moment(layer.newest_reading),
            Text(_age(layer.newest_reading, now), style=_colour(layer.data)),
            _moment(layer.newest_batch_start),
            _moment(layer.last_run_at),
            Text(_age(layer.last_run_at, now), style=_colour(layer.run)),
        )
    open_console().print(table)
    for layer in found:
        if layer.note:
            click.echo(f"{layer.layer}: {layer.note}")


def _colour(verdict: str) -> str:
    return _COLOURS.get(verdict, "red")


def _moment(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _hours(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else round((now - moment).total_seconds() / 3600, 3)


def _age(moment: datetime | None, now: datetime) -> str:
    hours = _hours(moment, now)
    if hours is None:
        return "-"
    return f"{hours:,.1f} h" if abs(hours) < 100 else f"{hours / 24:,.0f} days"
