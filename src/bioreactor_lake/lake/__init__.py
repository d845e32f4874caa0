"""The rules of the lake that need no engine: what a run is and what a write reports."""
