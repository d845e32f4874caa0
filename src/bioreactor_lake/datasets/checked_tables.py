"""The tables of the lake as checks see them: by their names, opened when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import ibis.expr.types as ir
from kedro.io import CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline

from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.datasets.planning import expressions
from bioreactor_lake.datasets.relations import WarehouseDataset
from bioreactor_lake.errors import LakeError
from bioreactor_lake.quality.suite import WAREHOUSE


class CheckedTables(Mapping[str, ir.Table]):
    """Lazy tables by their names in the catalog; `<mart>@warehouse` is a mart as the warehouse would publish it.

    Args:
        catalog: The project's catalog.
        pipeline: All nodes.
    """

    def __init__(self, catalog: CatalogProtocol[Any, Any], pipeline: Pipeline) -> None:
        self._catalog, self._pipeline = catalog, pipeline
        self._opened: dict[str, ir.Table] = {}

    def __getitem__(self, name: str) -> ir.Table:
        """Open a table.

        Raises:
            KeyError: There is none of that name.
            LakeError: It is not there yet, or cannot be reached.
        """
        if name not in self._opened:
            self._opened[name] = self._open(name)
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        for name in self._catalog:
            if isinstance(self._catalog[name], WarehouseDataset | MartDataset):
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _open(self, name: str) -> ir.Table:
        if name.endswith(WAREHOUSE):
            return self._expression(name.removesuffix(WAREHOUSE))
        if name not in self:
            raise KeyError(name)
        dataset = self._catalog[name]
        if isinstance(dataset, MartDataset):
            # Said once and in plain words where nothing answers.
            dataset.impatient_database.attempt(lambda connection: None, what="Connecting", kept="")
        try:
            return dataset.load()
        except DatasetError as error:
            if isinstance(error.__cause__, LakeError):
                raise error.__cause__ from None
            raise

    def _expression(self, name: str) -> ir.Table:
        makers = [node for node in self._pipeline.nodes if name in node.outputs]
        for _, expression in expressions(self._catalog, Pipeline(makers)):
            if expression is None:
                raise LakeError(f"A table below {name} is not there yet.", next_step="Build it with: kedro run")
            return expression
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(name == known for known in self)
