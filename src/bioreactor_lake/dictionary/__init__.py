"""The data dictionary: what the catalog, the suites and the code say of tables, columns, tags and checks."""
