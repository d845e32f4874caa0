"""`kedro lake new-source` and `kedro lake new-mart`: the files of a source or mart, to be made one's own."""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path

import click
from kedro.framework.cli.utils import env_option

_SAMPLE_LINES = 200


@click.command("new-source")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@env_option
def new_source(name: str, file: Path, env: str | None) -> None:
    """Add the source NAME, of which FILE is an example.

    Writes a file profile, the view staging.stg_NAME with its catalog entry and its suite, and a test of the profile on
    the first lines of FILE. Whatever lands in the source's folder is read by runs from then on.

    Exit codes: 0, 1 nothing can be made of the file, or a file is there already, 2 usage.
    """
    from bioreactor_lake.cli.profile import propose
    from bioreactor_lake.cli.scaffolds import source_files, write_files
    from bioreactor_lake.cli.session import open_project
    from bioreactor_lake.errors import LakeError
    from bioreactor_lake.landing.zone import confirm_source

    with open_project(env) as context:
        confirm_source(name)
        zone, project = context.catalog["landing_zone"], Path(context.project_path)
        text, preview = propose(file, context, zone)
        if not preview.is_read:
            raise LakeError(
                f"The profile that is proposed does not read {file}: {preview.facts['reason']}.",
                kept="Nothing was written.",
                next_step=f"Begin by hand: kedro lake profile --propose {file}; docs/profiles.md says what it can say.",
            )
        sample = project / "tests" / "sources" / "samples" / name / file.name
        tags = {tag.tag for tag in preview.tags}
        files = source_files(name, profile=text, sample=file.name, tags=tags)
        write_files(project, files)
        sample.parent.mkdir(parents=True, exist_ok=True)
        _copy_beginning(file, sample)
        for path in (*files, sample.relative_to(project).as_posix()):
            click.echo(f"Wrote {path}")
        for line in text.splitlines():
            if line.startswith("# Confirm "):
                click.echo(line.removeprefix("# "))
        click.echo(f"Next: kedro lake land {file} --source {name}, then kedro run")


@click.command("new-mart")
@click.argument("name")
@env_option
def new_mart(name: str, env: str | None) -> None:
    """Add the mart marts.mart_NAME: a node, its catalog entry and its suite, for you to change.

    Exit codes: 0, 1 a file is there already, 2 usage.
    """
    from bioreactor_lake.cli.scaffolds import mart_files, write_files
    from bioreactor_lake.cli.session import open_project
    from bioreactor_lake.landing.zone import confirm_source

    with open_project(env) as context:
        confirm_source(name)
        files = mart_files(name)
        write_files(Path(context.project_path), files)
        for path in files:
            click.echo(f"Wrote {path}")
        click.echo("Next: say in the node what the mart is, then kedro run")


def _copy_beginning(file: Path, sample: Path) -> None:
    """The first lines of a text, in its own bytes; a workbook or what is compressed as a whole."""
    with file.open("rb") as stream:
        start = stream.read(4)
        if start[:2] in (b"PK", b"\x1f\x8b", b"\xff\xfe", b"\xfe\xff"):
            shutil.copyfile(file, sample)
            return
        stream.seek(0)
        with sample.open("wb") as copy:
            copy.writelines(islice(stream, _SAMPLE_LINES))
