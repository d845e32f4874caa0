"""The tables of the lake as checks see them: by their names, opened when they are asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

import ibis.expr.types as ir
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import Pipeline
from kedro.utils import load_obj

from bioreactor_lake.datasets.marts import MartDataset
from bioreactor_lake.datasets.planning import expressions
from bioreactor_lake.datasets.plotted_marts import PlottedMartDataset
from bioreactor_lake.datasets.relations import WarehouseDataset
from bioreactor_lake.datasets.tables import MaterialisedDataset, ViewDataset
from bioreactor_lake.errors import LakeError, find_lake_error
from bioreactor_lake.quality.suite import WAREHOUSE


def tables_with_suites(catalog: DataCatalog) -> list[str]:
    """The names of the tables that can have a suite: those that have batches. None of them is made for it."""
    of_marts = catalog.filter(by_type=[MartDataset, PlottedMartDataset])
    names = [name for name in catalog if name not in of_marts and _is_of_warehouse(str(catalog.get_type(name)))]
    return [name for name in catalog if name in {*of_marts, *names}]


def _is_of_warehouse(kind: str) -> bool:
    """Whether a type of datasets, by its path, is one of views or tables with batches, or is made from one."""
    module, _, name = kind.rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    if found is None and module.startswith(f"{__package__}."):
        found = load_obj(kind)
    return isinstance(found, type) and issubclass(found, ViewDataset | MaterialisedDataset)


class CheckedTables(Mapping[str, ir.Table]):
    """Lazy tables by their names in the catalog; `<mart>@warehouse` is a mart as the warehouse would publish it.

    Args:
        catalog: The project's catalog.
        pipeline: All nodes.
    """

    def __init__(self, catalog: DataCatalog, pipeline: Pipeline) -> None:
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
        yield from tables_with_suites(self._catalog)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _open(self, name: str) -> ir.Table:
        if name.endswith(WAREHOUSE):
            return self._expression(name.removesuffix(WAREHOUSE))
        dataset = self._catalog.get(name)
        if not isinstance(dataset, WarehouseDataset | MartDataset):
            raise KeyError(name)
        if isinstance(dataset, MartDataset):
            # Said once and in plain words where nothing answers.
            dataset.impatient_database.attempt(lambda connection: None, what="Connecting", kept="")
        try:
            return dataset.load()
        except DatasetError as error:
            raise (find_lake_error(error) or error) from None

    def _expression(self, name: str) -> ir.Table:
        makers = [node for node in self._pipeline.nodes if name in node.outputs]
        for _, expression in expressions(self._catalog, Pipeline(makers)):
            if expression is None:
                raise LakeError(f"A table below {name} is not there yet.", next_step="Build it with: kedro run")
            return expression
        raise KeyError(name)
