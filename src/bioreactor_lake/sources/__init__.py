"""LIMS, ELN and other systems of record as sources: what is asked of them, and how the answers land."""
