"""Kedro's settings: all as they come."""
