"""What lineage says: the origins of a column and of a table's rows, in OpenLineage's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

ROWS = "*"
"""The column of an origin that stands for the rows of a table: what a count counts."""


class Subtype(StrEnum):
    """The part that an input plays. The first three give values, the stronger ones later; the others only decide."""

    IDENTITY = "IDENTITY"
    TRANSFORMATION = "TRANSFORMATION"
    AGGREGATION = "AGGREGATION"
    CONDITIONAL = "CONDITIONAL"
    FILTER = "FILTER"
    GROUP_BY = "GROUP_BY"
    JOIN = "JOIN"
    SORT = "SORT"
    WINDOW = "WINDOW"

    @property
    def is_direct(self) -> bool:
        """Whether the input's values become those of the output."""
        return self in (Subtype.IDENTITY, Subtype.TRANSFORMATION, Subtype.AGGREGATION)

    @property
    def kind(self) -> str:
        """OpenLineage's type of the transformation, `DIRECT` or `INDIRECT`."""
        return "DIRECT" if self.is_direct else "INDIRECT"

    def after(self, earlier: Subtype) -> Subtype:
        """The part of an input that played another part in an earlier step.

        >>> str(Subtype.TRANSFORMATION.after(Subtype.AGGREGATION)), str(Subtype.TRANSFORMATION.after(Subtype.WINDOW))
        ('AGGREGATION', 'WINDOW')
        """
        if not self.is_direct or not earlier.is_direct:
            return earlier if self.is_direct else self
        order = list(Subtype)
        return max(self, earlier, key=order.index)


@dataclass(frozen=True)
class ColumnOrigin:
    """One input of a column or of a table's rows.

    Args:
        table: Schema and name of the leaf table; the name alone where it has no schema.
        column: The column, or `ROWS`.
        subtype: The part that it plays.
        description: For people: the output's expression for a direct input, the condition or key for an indirect one.
    """

    table: str
    column: str
    subtype: Subtype
    description: str = ""

    @property
    def is_direct(self) -> bool:
        """Whether its values become those of the output."""
        return self.subtype.is_direct

    @property
    def kind(self) -> str:
        """OpenLineage's type of the transformation, `DIRECT` or `INDIRECT`."""
        return self.subtype.kind


@dataclass(frozen=True)
class ColumnLineage:
    """Where a column comes from.

    Args:
        expression: Its expression over the leaf columns, shortened.
        origins: Its inputs; none for a constant.
    """

    expression: str
    origins: tuple[ColumnOrigin, ...]


@dataclass(frozen=True)
class TableLineage:
    """Where a table comes from.

    Args:
        columns: The lineage of each column, in the order of the schema.
        rows: What decides which rows there are and in which order, for all columns alike; the tables that the rows
            are made of come as direct inputs with the column `ROWS`.
        inputs: The leaf tables that are read, with all of their columns.
    """

    columns: Mapping[str, ColumnLineage]
    rows: tuple[ColumnOrigin, ...]
    inputs: Mapping[str, tuple[str, ...]]
