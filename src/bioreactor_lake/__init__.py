"""Bioreactor time series to a DuckDB warehouse and Postgres marts."""

__version__ = "0.1.0"
