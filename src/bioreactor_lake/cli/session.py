"""The catalog for a command that is no run: opened from any folder of the project, let go at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast


@contextmanager
def open_catalog(env: str | None) -> Iterator[Any]:
    """Kedro's catalog, with the lake's exit codes; the warehouse and the embedded Postgres are let go afterwards.

    Args:
        env: Kedro's environment; None for the default.
    """
    from kedro.framework.session import KedroSession
    from kedro.utils import find_kedro_project

    from bioreactor_lake.cli.run import exit_codes
    from bioreactor_lake.datasets import warehouse
    from bioreactor_lake.postgres.database import release_embedded

    with exit_codes():
        try:
            root = find_kedro_project(Path.cwd()) or Path.cwd()
            with KedroSession.create(project_path=root, env=env, save_on_close=False) as session:
                yield cast(KedroSession, session).load_context().catalog
        finally:
            warehouse.close()
            release_embedded()
