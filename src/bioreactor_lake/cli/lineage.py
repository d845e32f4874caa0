"""`kedro lake lineage`: what became of the lineage events, and sending what is left."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
from kedro.framework.cli.utils import env_option

from bioreactor_lake.cli.console import spell_size

if TYPE_CHECKING:
    from bioreactor_lake.lineage.delivery.configuration import EmitterConfig
    from bioreactor_lake.lineage.delivery.outbox import Outbox
    from bioreactor_lake.lineage.delivery.sending import Report, Sender

_SHOWN_TIME = 19


@click.group()
def lineage() -> None:
    """See what became of the lineage events, and send what is left of them."""


@lineage.command()
@click.option("--set-aside", is_flag=True, help="Put events that a server refuses into refused.jsonl, and go on.")
@env_option
def replay(set_aside: bool, env: str | None) -> None:
    """Send the lineage events that could not be sent during runs, oldest first.

    Each server and topic gets what it has not got yet; one that fails keeps no other from its events. Exit codes: 0
    everything is sent, 1 something is left.
    """
    from bioreactor_lake.errors import LakeError
    from bioreactor_lake.lineage.delivery.sender import REFUSED
    from bioreactor_lake.lineage.delivery.sending import Sender

    with _outbox(env) as (config, root, outbox):
        waiting = outbox.size() if outbox is not None else 0
        if outbox is None or not waiting:
            click.echo("Nothing is left to send.")
            return
        if reason := _why_nothing_is_sent(config, root):
            raise LakeError(
                f"{waiting:,} lineage events wait: {reason}.",
                kept="They stay in the outbox.",
                next_step="Give a transport in conf/*/openlineage.yml, or in what the OpenLineage client reads.",
            )
        sender = Sender(config, root, "replay", set_aside=set_aside)
        try:
            _show_progress(sender, outbox)
        finally:
            # It has nothing more to do, or Ctrl-C asked for the end.
            report = sender.end(1 if sys.exc_info()[0] is None else 0)
        _say(report, outbox, str(outbox.folder / REFUSED))
        left = sum(outbox.pending(target) for target in report.targets)
        if report.problem or left:
            sys.exit(1)


@lineage.command()
@click.option("--format", "as_format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@env_option
def status(as_format: str, env: str | None) -> None:
    """Show the file of lineage events, and how many events wait for which server or topic."""
    from bioreactor_lake.lineage.delivery.configuration import journal_path
    from bioreactor_lake.lineage.delivery.sending import Sender

    with _outbox(env) as (config, root, outbox):
        reason = _why_nothing_is_sent(config, root)
        configured: list[str] = []
        if not reason:
            sender = Sender(config, root, "name")
            for _ in sender.follow():
                pass
            report = sender.end(1)
            configured, reason = list(report.targets), report.problem
        file = journal_path(config, root)
        known = [] if outbox is None else [name for name in outbox.targets() if name not in configured]
        found = {
            "file": file and str(file),
            "size_bytes": file.stat().st_size if file is not None and file.exists() else None,
            "waiting": outbox.size() if outbox is not None else 0,
            "problem": reason,
            "targets": [_target(name, outbox, name in configured) for name in (*configured, *known)],
        }
    if as_format == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        _print_status(found)


@contextmanager
def _outbox(env: str | None) -> Iterator[tuple[EmitterConfig, Path, Outbox | None]]:
    """What is configured, the project's folder, and its outbox if there is one."""
    import sqlite3

    from bioreactor_lake.cli.session import open_project
    from bioreactor_lake.errors import LakeError
    from bioreactor_lake.lineage.delivery.configuration import outbox_folder, read_configuration
    from bioreactor_lake.lineage.delivery.outbox import NAME, find_outbox

    with open_project(env) as context:
        config = cast("EmitterConfig", read_configuration(context.config_loader))
        root = Path(context.project_path)
        folder = outbox_folder(config, root)
        outbox = None
        try:
            outbox = find_outbox(folder)
            yield config, root, outbox
        except (OSError, sqlite3.Error) as error:
            raise LakeError(
                f"{folder / NAME} could not be read or written: {error}",
                next_step="Check the disk. Where the file is damaged, move it away: later events go into a new one.",
            ) from error
        finally:
            if outbox is not None:
                outbox.close()


def _why_nothing_is_sent(config: EmitterConfig, root: Path) -> str:
    import os

    from bioreactor_lake.lineage.delivery.configuration import is_disabled, transports_configured

    if is_disabled(os.environ):
        return "OPENLINEAGE_DISABLED turns lineage off"
    if not transports_configured(config, os.environ, root):
        return "no server or topic is configured"
    return ""


def _show_progress(sender: Sender, outbox: Outbox) -> None:
    """Follow the sender to its end; on a terminal, show how far each target has got."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks: dict[str, Any] = {}
        for said in sender.follow():
            for target in said.get("targets", ()):
                tasks[target] = progress.add_task(target, total=outbox.pending(target))
            if (target := said.get("target")) is None:
                continue
            progress.advance(tasks[target], said.get("sent", 0) + said.get("set_aside", 0))
            if said.get("waits"):
                progress.stop()
                click.echo(f"{target}: {said['problem']}; waiting for it", err=True)
                progress.start()


def _say(report: Report, outbox: Outbox, refused: str) -> None:
    for target, delivery in report.targets.items():
        parts = [f"{delivery.sent:,} sent"]
        if delivery.set_aside:
            parts.append(f"{delivery.set_aside:,} refused and set aside in {refused}")
        if left := outbox.pending(target):
            parts.append(f"{left:,} left ({delivery.problem or 'they came in the meantime'})")
        click.secho(f"{target}: {', '.join(parts)}", fg="red" if left else None)
        if left and delivery.refused:
            click.echo(
                "Next: correct the server, or let it go without this event: kedro lake lineage replay --set-aside"
            )
    if report.problem:
        click.secho(f"Nothing was sent: {report.problem}", err=True, fg="red")


def _target(name: str, outbox: Outbox | None, configured: bool) -> dict[str, Any]:
    oldest = outbox.oldest(name) if outbox is not None else None
    return {
        "target": name,
        "configured": configured,
        "pending": outbox.pending(name) if outbox is not None else 0,
        "oldest_event_time": json.loads(oldest).get("eventTime") if oldest else None,
    }


def _print_status(found: dict[str, Any]) -> None:
    if found["file"] is None:
        click.echo("No file of lineage events is configured.")
    elif found["size_bytes"] is None:
        click.echo(f"{found['file']}: no events yet")
    else:
        click.echo(f"{found['file']}: {spell_size(found['size_bytes'])}")
    for target in found["targets"]:
        oldest = str(target["oldest_event_time"] or "")[:_SHOWN_TIME].replace("T", " ")
        pending = f"{target['pending']:,} events wait, the oldest of {oldest}" if target["pending"] else "all sent"
        click.echo(f"{target['target']}: {pending}{'' if target['configured'] else ' (not configured now)'}")
    if not found["targets"] and found["waiting"]:
        click.echo(f"{found['waiting']:,} events wait in the outbox.")
    if found["problem"]:
        click.echo(f"Nothing is sent: {found['problem']}.")
