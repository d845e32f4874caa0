"""Views that Spark can read as well: what DuckDB keeps of them, and their SQL in Spark's words."""

from __future__ import annotations

from typing import Any

import ibis.expr.types as ir

from bioreactor_lake.datasets.known_logic import logic_for
from bioreactor_lake.datasets.spark import relations
from bioreactor_lake.datasets.spark.spelling import spell_for_spark
from bioreactor_lake.datasets.tables import RawViewDataset, ViewDataset
from bioreactor_lake.lake.runs import WriteReport


class SparkViewDataset(ViewDataset):
    """A view of DuckDB that tables which Spark computes can be made of. Arguments as for `ViewDataset`."""

    def _write(self, backend: Any, data: ir.Table) -> WriteReport:
        _remember(backend, self.qualified_name, data)
        return super()._write(backend, data)


class SparkRawViewDataset(RawViewDataset):
    """The view of the accepted raw files, for Spark as well. Arguments as for `RawViewDataset`."""

    def _write(self, backend: Any, data: ir.Table) -> WriteReport:
        _remember(backend, self.qualified_name, data)
        return super()._write(backend, data)


def _remember(backend: Any, name: str, data: ir.Table) -> None:
    relations.ensure(backend)
    logic = logic_for(backend, name, data)
    if not relations.knows_view(backend, name, logic):
        relations.remember_view(backend, name, logic, spell_for_spark(data), data)
