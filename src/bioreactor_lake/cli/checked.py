"""How verdicts look on a terminal: a line for each expectation, and the rows that fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bioreactor_lake.cli.console import open_console
from bioreactor_lake.quality.spelling import spell, spell_rows

if TYPE_CHECKING:
    from bioreactor_lake.quality.verdicts import Verdict

_COLOURS = {"warn": "yellow", "error": "red", "fatal": "bold red"}
_SHOWN = 10
_LONGEST = 60


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """Print a line for each expectation, with its batches together, and below what fails."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD)
    for name in ("Suite", "Expectation", "About", "Observed", "Verdict"):
        shown.add_column(name, overflow="fold")
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault((verdict.suite, verdict.expectation_id), []).append(verdict)
    for (suite, expectation), group in groups.items():
        failed = [verdict for verdict in group if not verdict.success]
        word = failed[0].severity if failed else "ok"
        shown.add_row(
            suite,
            expectation,
            _about(group, failed),
            _observed(failed or group),
            Text(word, _COLOURS.get(word, "green")),
        )
    open_console().print(shown)
    for group in groups.values():
        _print_failures([verdict for verdict in group if not verdict.success])
    words = [group[0].severity for group in groups.values() if any(not verdict.success for verdict in group)]
    counted = ", ".join(f"{words.count(word)} {word}" for word in _COLOURS if word in words)
    click.echo(f"{len(groups)} expectations: {counted or 'all as expected'}.")


def _about(group: Sequence[Verdict], failed: Sequence[Verdict]) -> str:
    if all(verdict.batch is None for verdict in group):
        return "table"
    if not failed:
        return f"{len(group):,} batch{'' if len(group) == 1 else 'es'}"
    return f"{len(failed):,} of {len(group):,} batches"


def _observed(group: Sequence[Verdict]) -> str:
    """What was found; of several batches, what was found in all of them together."""
    if group[0].error:
        return _short(group[0].error)
    if group[0].rows is not None and group[0].failing_rows is not None:
        failing, rows = (sum(getattr(one, name) or 0 for one in group) for name in ("failing_rows", "rows"))
        named = sorted({str(name) for one in group if isinstance(one.observed, list) for name in one.observed})
        of = spell_rows(failing, rows)
        return f"{_short(', '.join(named))} ({of})" if named else of
    return spell(group[0].observed) if len(group) == 1 else ""


def _print_failures(failed: Sequence[Verdict]) -> None:
    if not failed:
        return
    click.echo(f"\n{failed[0].suite}, {failed[0].expectation_id} ({failed[0].severity}):")
    for verdict in failed[:_SHOWN]:
        about = "table" if verdict.batch is None else verdict.batch
        click.echo(f"  {about}: {verdict.error or _observed([verdict])}")
        for sample in verdict.samples:
            click.echo(f"    {spell(sample)}")
    if len(failed) > _SHOWN:
        click.echo(f"  and {len(failed) - _SHOWN:,} more")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
