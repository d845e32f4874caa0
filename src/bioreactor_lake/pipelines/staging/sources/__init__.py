"""A module for each source that has a view of its own, made by `kedro lake new-source`."""
