"""How the tables of the lake are read and written. The classes are named in the catalog by their modules."""

MANIFEST = "raw_files@manifest"
"""The catalog's name of the manifest of raw files, which a run writes first."""
