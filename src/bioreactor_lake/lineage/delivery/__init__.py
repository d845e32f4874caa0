"""How lineage events leave a run: to a file, and by way of an outbox to servers."""
