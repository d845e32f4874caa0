"""Seeded simulator of CHO fed-batch runs: raw Parquet files to try, test and measure the lake with.

Where to look: `fleet` says which reactor runs which batch and when, `recipe` what is particular to a batch, `culture`
and `control` what truly happens in the vessel, `sensors` and `sampling` what of that an instrument writes down,
`readings` puts one batch together and `files` writes many of them.
"""

from bioreactor_lake.simulation.files import Written, write_batches
from bioreactor_lake.simulation.fleet import DEFAULT_START
from bioreactor_lake.simulation.readings import SCHEMA, simulate_batch

__all__ = ["DEFAULT_START", "SCHEMA", "Written", "simulate_batch", "write_batches"]
