"""Marts in which runs record what became of them: there to be read."""

from __future__ import annotations

from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.datasets.warehouse import WarehouseConfig
from bioreactor_lake.errors import UsageError
from bioreactor_lake.postgres.database import DatabaseConfig


class RecordedMartDataset(MartDataset):
    """A mart that every run adds to by itself, such as the results of its checks.

    Args:
        table_name: Name of the mart.
        schema: Its schema in Postgres.
        warehouse: The DuckDB file whose runs are recorded.
        postgres: The embedded server's folder and the retries.
        description: What one row is.
        credentials: `url` of the database; empty for the embedded server.
        metadata: For Kedro-Viz and others.
    """

    def __init__(
        self,
        *,
        table_name: str,
        schema: str,
        warehouse: WarehouseConfig,
        postgres: DatabaseConfig,
        description: str,
        credentials: dict[str, str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            table_name=table_name,
            schema=schema,
            warehouse=warehouse,
            postgres=postgres,
            primary_key=(),
            description=description,
            credentials=credentials,
            metadata=metadata,
        )

    def save(self, data: ir.Table) -> None:
        """Refuse: only runs add to it.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            f"{self.qualified_name} is written by the runs themselves.", next_step="Save into a mart of your own."
        )
