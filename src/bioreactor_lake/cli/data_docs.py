"""`kedro lake data-docs`: the suites of the marts through Great Expectations itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from kedro.framework.cli.utils import env_option

if TYPE_CHECKING:
    from bioreactor_lake.data_docs.site import Answer

_COLOURS = {"warn": "yellow", "error": "red", "fatal": "bold red"}


@click.command(name="data-docs")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data/data_docs"),
    show_default=True,
    help="Where the pages go.",
)
@click.option("--format", "as_format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@env_option
def data_docs(out: Path, as_format: str, env: str | None) -> None:
    """Ask the suites of the marts through Great Expectations, and write its Data Docs.

    The suites are those of conf/base/suites, asked of the marts as they are in Postgres. Nothing is written to the
    lake, held or released. Needs the extra gx. The pages show values of the marts, and take their styles from the
    network. Exit codes as of kedro lake check.
    """
    from bioreactor_lake.cli.check import EXIT_CODES
    from bioreactor_lake.cli.session import open_context
    from bioreactor_lake.data_docs.marts import ask_marts

    with open_context(env) as context:
        answers = ask_marts(context, out)
    if as_format == "json":
        click.echo(json.dumps([asdict(answer) for answer in answers], indent=2))
    else:
        _print_answers(answers)
        click.echo(f"Data Docs: {out / 'index.html'}")
    failed = [answer for answer in answers if not answer.success]
    severities = ["fatal" if answer.error and answer.severity != "warn" else answer.severity for answer in failed]
    sys.exit(max((EXIT_CODES[one] for one in severities), key=[0, 3, 1].index, default=0))


def _print_answers(answers: Sequence[Answer]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from bioreactor_lake.cli.console import open_console

    shown = Table(box=box.SIMPLE_HEAD)
    for name in ("Mart", "Expectation", "Unexpected", "Verdict"):
        shown.add_column(name, justify="right" if name == "Unexpected" else "left", overflow="fold")
    for answer in answers:
        word = "ok" if answer.success else answer.severity
        count = "" if answer.unexpected is None else f"{answer.unexpected:,}"
        shown.add_row(answer.table, answer.expectation, count, Text(word, _COLOURS.get(word, "green")))
    open_console().print(shown)
    for answer in answers:
        if answer.error:
            click.secho(f"{answer.table}, {answer.expectation}: {answer.error}", err=True, fg="yellow")
