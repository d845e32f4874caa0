"""How the tables of the lake are read and written. The classes are named in the catalog by their modules."""
