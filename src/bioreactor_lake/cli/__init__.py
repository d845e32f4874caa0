"""The project's own commands: `kedro run` with the lake's exit codes, and the group `kedro lake`."""

import click

from bioreactor_lake.cli.airbyte import airbyte
from bioreactor_lake.cli.alerts import alerts
from bioreactor_lake.cli.backfill import backfill
from bioreactor_lake.cli.backup import backup, restore
from bioreactor_lake.cli.check import check
from bioreactor_lake.cli.compact import compact
from bioreactor_lake.cli.data_docs import data_docs
from bioreactor_lake.cli.dictionary import dictionary
from bioreactor_lake.cli.freshness import freshness
from bioreactor_lake.cli.land import land
from bioreactor_lake.cli.lineage import lineage
from bioreactor_lake.cli.new import new_mart, new_source
from bioreactor_lake.cli.plan import plan
from bioreactor_lake.cli.postgres import postgres, psql
from bioreactor_lake.cli.profile import profile
from bioreactor_lake.cli.release import release
from bioreactor_lake.cli.roles import roles
from bioreactor_lake.cli.run import run
from bioreactor_lake.cli.runs import runs
from bioreactor_lake.cli.simulate import simulate
from bioreactor_lake.cli.status import status
from bioreactor_lake.cli.superset import superset
from bioreactor_lake.cli.sync import sync
from bioreactor_lake.cli.trace import trace
from bioreactor_lake.cli.watch import watch


@click.group(name="bioreactor_lake")
def cli() -> None:
    """Commands of the lake."""


@cli.group()
def lake() -> None:
    """Look after the lake: its plans, its lineage, its database and sample data."""


cli.add_command(run)
lake.add_command(airbyte)
lake.add_command(alerts)
lake.add_command(backfill)
lake.add_command(backup)
lake.add_command(check)
lake.add_command(compact)
lake.add_command(data_docs)
lake.add_command(dictionary)
lake.add_command(freshness)
lake.add_command(land)
lake.add_command(lineage)
lake.add_command(new_mart)
lake.add_command(new_source)
lake.add_command(plan)
lake.add_command(postgres)
lake.add_command(profile)
lake.add_command(psql)
lake.add_command(release)
lake.add_command(restore)
lake.add_command(roles)
lake.add_command(runs)
lake.add_command(simulate)
lake.add_command(status)
lake.add_command(superset)
lake.add_command(sync)
lake.add_command(trace)
lake.add_command(watch)
