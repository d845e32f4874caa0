"""`kedro lake check`: ask the suites of the lake as it is now."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from kedro.framework.cli.utils import env_option

if TYPE_CHECKING:
    from bioreactor_lake.quality.suite import Suite
    from bioreactor_lake.quality.verdicts import Verdict

EXIT_CODES = {None: 0, "warn": 0, "error": 3, "fatal": 1}
"""By the gravest severity that failed."""


@click.command()
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@click.option("--batch", "batches", multiple=True, metavar="ID", help="Only this batch; may be given several times.")
@click.option("--format", "as_format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it into a page as well."
)
@env_option
def check(
    tables: tuple[str, ...], batches: tuple[str, ...], as_format: str, html: Path | None, env: str | None
) -> None:
    """Check tables against their suites, as they are now; all that have one where none is named.

    What is expected of a table stands in conf/base/suites. Nothing is written to the lake, held or released. Exit
    codes: 0 all is as expected or warned of, 3 an `error` failed, 1 a `fatal` one did or a table cannot be read,
    2 usage, 4 the warehouse was locked for too long.
    """
    from bioreactor_lake.cli.checked import print_verdicts
    from bioreactor_lake.quality.verdicts import WARN, worst_failure

    verdicts, missing, names = _ask(tables, batches, env)
    worst = worst_failure(verdicts)
    if html is not None:
        from bioreactor_lake.datasets.quality_report import describe_verdicts
        from bioreactor_lake.datasets.report_files import write_page
        from bioreactor_lake.quality.page import render

        page = describe_verdicts(verdicts, names, failed=worst not in (None, WARN))
        try:
            write_page(html, render(page))
        except OSError as error:
            raise click.ClickException(f"{html} cannot be written: {error.strerror}.") from error
    if as_format == "json":
        click.echo(json.dumps([asdict(verdict) for verdict in verdicts], indent=2, default=str))
    else:
        print_verdicts(verdicts)
    for notice in missing:
        click.secho(notice, err=True, fg="yellow")
    sys.exit(EXIT_CODES[worst])


def _ask(
    tables: tuple[str, ...], batches: tuple[str, ...], env: str | None
) -> tuple[list[Verdict], list[str], dict[str, str]]:
    """The verdicts, what could not be asked because it is not there yet, and the qualified names of tables."""
    from kedro.framework.project import pipelines

    from bioreactor_lake.cli.session import open_context
    from bioreactor_lake.datasets import MANIFEST
    from bioreactor_lake.datasets.checked_tables import CheckedTables
    from bioreactor_lake.datasets.named_batches import confirm_batches
    from bioreactor_lake.errors import LakeError
    from bioreactor_lake.quality.checks import check_table
    from bioreactor_lake.quality.configuration import QualitySettings

    with open_context(env) as context:
        catalog = context.catalog
        known = CheckedTables(catalog, pipelines["__default__"])
        settings = QualitySettings.load(context.config_loader, [*known], [MANIFEST])
        names = {name: catalog[name].qualified_name for name in known}
        suites = _choose(settings.suites, tables, {qualified: name for name, qualified in names.items()})
        if batches:
            confirm_batches(catalog[MANIFEST], batches)
        verdicts: list[Verdict] = []
        missing: list[LakeError] = []
        for suite in suites:
            try:
                table = known[suite.table]
            except LakeError as error:
                if tables or error.exit_code != LakeError.exit_code:
                    raise
                missing.append(error)
                continue
            verdicts += check_table(
                table,
                suite,
                batches=batches or None,
                tables=known,
                tags=settings.tags,
                equipment=settings.equipment,
            )
        if missing and len(missing) == len(suites):
            raise missing[0]
        return verdicts, [error.what for error in missing], names


def _choose(suites: Mapping[str, Suite], tables: tuple[str, ...], names: Mapping[str, str]) -> list[Suite]:
    """The suites of the named tables, or all in the order of the catalog.

    Raises:
        UsageError: A name is that of no table that has a suite.
    """
    from difflib import get_close_matches

    from bioreactor_lake.errors import UsageError

    chosen = []
    for given in tables or [name for name in names.values() if name in suites]:
        name = names.get(given, given)
        if name not in suites:
            near = get_close_matches(name, suites) or sorted(suites)
            raise UsageError(
                f"There is no suite of {given}.",
                next_step=f"Did you mean {' or '.join(near)}? A suite is a file conf/base/suites/<table>.yml.",
            )
        chosen.append(suites[name])
    return chosen
