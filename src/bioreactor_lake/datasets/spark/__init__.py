"""Tables that Spark computes: the same expressions, written as Parquet files, which the warehouse has views of.

DuckDB stays what knows: manifest, fingerprints, verdicts, and which files make up a table. Spark is asked for rows and
keeps nothing. Nothing here is imported unless a catalog names it, and Spark itself not before there is work for it.
"""
