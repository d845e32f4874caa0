"""Lineage: where the columns of the lake's tables come from."""
