"""The project for a command that is no run: opened from any folder of it, let go at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import click


@contextmanager
def open_catalog(env: str | None) -> Iterator[Any]:
    """Kedro's catalog; otherwise as `open_context`."""
    with open_context(env) as context:
        yield context.catalog


@contextmanager
def open_context(env: str | None) -> Iterator[Any]:
    """Kedro's context, with the lake's exit codes; the warehouse and the embedded Postgres are let go afterwards.

    On a terminal there is a bar if it takes its time.

    Args:
        env: Kedro's environment; None for the default.
    """
    from bioreactor_lake.datasets import warehouse
    from bioreactor_lake.logs.progress import step
    from bioreactor_lake.postgres.database import release_embedded

    command = click.get_current_context(silent=True)
    with step((command and command.info_name) or "lake", warehouse.share_done), open_project(env) as context:
        try:
            yield context
        finally:
            warehouse.close()
            release_embedded()


@contextmanager
def open_project(env: str | None) -> Iterator[Any]:
    """Kedro's context, with the lake's exit codes: where the project lies and what is configured.

    Args:
        env: Kedro's environment; None for the default.
    """
    from kedro.framework.session import KedroSession
    from kedro.utils import find_kedro_project

    from bioreactor_lake.cli.run import exit_codes

    with exit_codes():
        root = find_kedro_project(Path.cwd()) or Path.cwd()
        with KedroSession.create(project_path=root, env=env, save_on_close=False) as session:
            yield cast(KedroSession, session).load_context()
