"""Puts the data dictionary among the pages when MkDocs builds them; `mkdocs.yml` names this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from mkdocs.structure.files import File, Files

FOLDER = "dictionary"


def on_files(files: Files, config: Any) -> Files:
    """Add the pages, made from the project beside `mkdocs.yml`."""
    for name, text in _write(Path(config.config_file_path).parent).items():
        files.append(File.generated(config, f"{FOLDER}/{name}", content=text))
    return files


def _write(project: Path) -> dict[str, str]:
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(project)
    from kedro.framework.project import pipelines

    from bioreactor_lake.dictionary.entries import gather
    from bioreactor_lake.dictionary.pages import write_pages

    with KedroSession.create(project_path=project, save_on_close=False) as session:
        context = cast(KedroSession, session).load_context()
        return write_pages(gather(context.catalog, pipelines["__default__"], context.config_loader))
