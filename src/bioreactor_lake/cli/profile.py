"""`kedro lake profile`: what a profile makes of a file, or a profile for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.cli.utils import env_option

if TYPE_CHECKING:
    from bioreactor_lake.datasets.profile_preview import Preview


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--profile", "name", help="Of the profiles, this one. [default: the one that reads it]")
@click.option(
    "--under",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder that is landed with the file in it, where a profile reads the names of folders.",
)
@click.option("--propose", is_flag=True, help="Print a profile for it, to be kept in conf/base/profiles/NAME.yml.")
@env_option
def profile(file: Path, name: str | None, under: Path | None, propose: bool, env: str | None) -> None:
    """Show what a profile makes of a file: its first readings, tags, times, and what is odd; or propose a profile.

    Nothing is kept. Exit codes: 0, 1 no profile reads it, 2 usage.
    """
    import sys

    from bioreactor_lake.cli.session import open_project
    from bioreactor_lake.datasets.profile_preview import preview_file
    from bioreactor_lake.errors import UsageError
    from bioreactor_lake.pipelines.ingestion.nodes import ReadByProfile

    with open_project(env) as context:
        zone = context.catalog["landing_zone"]
        profiles = dict(context.catalog.load("profiles")())
        if propose:
            _propose(file, context, zone)
            return
        if name is not None and name not in profiles:
            known = ", ".join(profiles) or "none"
            raise UsageError(f"There is no profile {name!r}.", next_step=f"There are: {known}.")
        path, source = _path_in_source(file.resolve(), zone.root, under)
        candidates = [one for one in profiles.values() if name == one.name or (name is None and one.fits(path))]
        candidates.sort(key=lambda one: (one.source != source, one.files == ("*",), one.name))
        tried = []
        for one in candidates:
            preview = preview_file(file, path, one, zone.limits, ReadByProfile())
            if preview.is_read:
                _print(preview)
                return
            tried.append(preview)
        for preview in tried:
            click.echo(f"{preview.profile.name}: {preview.facts['reason']}", err=True)
            for line, reason, text in preview.rejected[:3]:
                click.echo(f"  line {line}: {reason}: {text[:100]}", err=True)
        click.echo(
            f"No profile reads {file}. One to begin with: kedro lake profile --propose {file}"
            if name is None
            else f"The profile {name} does not read {file}.",
            err=True,
        )
        sys.exit(1)


def _path_in_source(file: Path, zone: str, under: Path | None) -> tuple[str, str]:
    """The path that profiles see, and the source where it is landed already."""
    root = Path(zone)
    if file.is_relative_to(root.resolve()):
        source, _, rest = file.relative_to(root.resolve()).as_posix().partition("/")
        return rest, source
    base = under.resolve().parent if under is not None else file.parent
    if not file.is_relative_to(base):
        raise click.BadParameter(f"{file} does not lie in it.", param_hint="--under")
    return file.relative_to(base).as_posix(), ""


def _print(preview: Preview) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from bioreactor_lake.cli.console import open_console

    facts, console = preview.facts, open_console(highlight=False)
    batches = ", ".join(facts["batch_ids"][:5]) + (" …" if len(facts["batch_ids"]) > 5 else "")
    lines = {
        "Profile": f"{preview.profile.name} {preview.profile.version} (source {preview.profile.source})",
        "Rows": f"{facts['rows_in']:,} in, {facts['rows_read']:,} read, {facts['rows_rejected']:,} rejected",
        "Readings": f"{facts['readings']:,}",
        "Batches": batches,
        "Equipment": ", ".join(preview.equipment[:10]) + (" …" if len(preview.equipment) > 10 else ""),
        "Times (UTC)": f"{facts['ts_min']} to {facts['ts_max']}",
    }
    for label, text in lines.items():
        console.print(Text(f"{label + ':':<13}{_plain(text)}"))

    def show(columns: tuple[str, ...], rows: Any) -> None:
        table = Table(box=box.SIMPLE_HEAD)
        for column in columns:
            right = column in ("Readings", "Texts", "Smallest", "Largest", "Line")
            table.add_column(column, justify="right" if right else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(Text("-" if cell is None else _plain(str(cell))) for cell in row))
        console.print(table)

    show(
        ("Tag", "Unit", "Readings", "Texts", "Smallest", "Largest"),
        (
            (tag.tag, tag.unit, f"{tag.readings:,}", tag.texts or "-", _number(tag.smallest), _number(tag.largest))
            for tag in preview.tags
        ),
    )
    show(("Batch", "Equipment", "Time (UTC)", "Tag", "Value", "Unit", "Line"), preview.first)
    if preview.rejected:
        show(("Line", "Why it is rejected", "Text"), ((line, why, text[:80]) for line, why, text in preview.rejected))
    for warning in preview.warnings:
        console.print(Text(_plain(warning), style="yellow"))


def _propose(file: Path, context: Any, zone: Any) -> None:
    text, preview = propose(file, context, zone)
    click.echo(text, nl=False)
    facts = preview.facts
    said = facts.get("reason") or (
        f"{facts['rows_read']:,} of {facts['rows_in']:,} rows read, {facts['readings']:,} readings of "
        f"{len(preview.tags):,} tags, {facts['ts_min']} to {facts['ts_max']} UTC"
    )
    click.echo(f"As it stands: {_plain(str(said))}", err=True)


def propose(file: Path, context: Any, zone: Any) -> tuple[str, Preview]:
    """A profile for a file as YAML, and what it makes of the file.

    Raises:
        LakeError: Nothing can be made of it.
    """
    import yaml

    from bioreactor_lake.datasets.profile_preview import preview_file
    from bioreactor_lake.datasets.profile_proposals import propose_profile
    from bioreactor_lake.pipelines.ingestion.nodes import ReadByProfile
    from bioreactor_lake.pipelines.ingestion.profiles.profile_yaml import read_profile
    from bioreactor_lake.pipelines.ingestion.reading_rules import ReadingRules

    proposal = propose_profile(file, ReadingRules.from_parameters(context.params["reading"]))
    lines = [f"# Proposed from the first lines of {file.name!a}."]
    lines += [f"# Confirm {_plain(question)}" for question in proposal.open_questions]
    text = "\n".join(lines) + "\n" + yaml.safe_dump(dict(proposal.config), sort_keys=False, allow_unicode=True)
    profile = read_profile("proposed", proposal.config)
    return text, preview_file(file, file.name, profile, zone.limits, ReadByProfile())


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _plain(text: str) -> str:
    """Text without what a terminal would take for commands."""
    return "".join(character if character.isprintable() else "·" for character in text)
