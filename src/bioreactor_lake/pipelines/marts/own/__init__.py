"""A module for each mart that was added, made by `kedro lake new-mart`."""
