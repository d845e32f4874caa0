"""Expressions of every kind with their lineage."""

from cases import OWNERS, READINGS, Case
from relation_cases import ROWS
from value_cases import VALUES, doubled

CASES: dict[str, Case] = {**VALUES, **ROWS}

__all__ = ["CASES", "OWNERS", "READINGS", "doubled"]
