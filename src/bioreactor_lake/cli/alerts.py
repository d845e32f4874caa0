"""`kedro lake alerts`: what is amiss, and whether those who should know can be told."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from kedro.framework.cli.utils import env_option

if TYPE_CHECKING:
    from bioreactor_lake.alerts.configuration import AlertSettings

_TEST_SECONDS = 30.0


@click.group(invoke_without_command=True)
@env_option
@click.pass_context
def alerts(context: click.Context, env: str | None) -> None:
    """List what is known to be amiss, since when, and who was told.

    A run that was killed could tell nobody; it is listed until the next run, which tells of it.
    """
    context.obj = env
    if context.invoked_subcommand is None:
        from bioreactor_lake.cli.run import exit_codes

        with exit_codes():
            _list(_settings(env))


@alerts.command()
@env_option
@click.pass_context
def test(context: click.Context, env: str | None) -> None:
    """Send a test message to each channel, and say of each whether it took it.

    Exit codes: 0 all took it, 1 one did not, 2 there is none.
    """
    from bioreactor_lake.cli.run import exit_codes

    with exit_codes():
        failed = _test(_settings(env or context.obj))
    sys.exit(1 if failed else 0)


def _settings(env: str | None) -> AlertSettings:
    from kedro.utils import find_kedro_project

    from bioreactor_lake.alerts.configuration import read_settings

    return read_settings(find_kedro_project(Path.cwd()) or Path.cwd(), env=env)


def _test(settings: AlertSettings) -> bool:
    from bioreactor_lake.alerts import VARIABLE
    from bioreactor_lake.alerts.delivery import send
    from bioreactor_lake.alerts.messages import tell_of_test
    from bioreactor_lake.alerts.telling import place_of
    from bioreactor_lake.errors import UsageError

    if not settings.channels:
        raise UsageError(
            "There is no channel to send alerts to.",
            next_step=f"Put addresses under `alerts` in conf/local/credentials.yml, or into {VARIABLE}; "
            "conf/base/alerts.yml says how.",
        )
    place = place_of(settings)
    messages = {channel: [(1, tell_of_test(channel, place, settings.secrets))] for channel in settings.channels}
    failed = False
    for channel, delivery in zip(messages, send(messages, _TEST_SECONDS).values(), strict=True):
        failed = failed or bool(delivery.problem)
        told = ", ".join(channel.kinds)
        click.echo(
            f"{channel.label}: {f'failed: {delivery.problem}' if delivery.problem else f'delivered; told of {told}'}"
        )
    return failed


def _list(settings: AlertSettings) -> None:
    from bioreactor_lake.alerts.messages import spell_duration, spell_time
    from bioreactor_lake.alerts.state import AlertState
    from bioreactor_lake.datasets.run_journal import find_killed, journals_of

    incidents, pending = [], {}
    if settings.state_file.exists():
        state = AlertState(settings.state_file)
        try:
            incidents, pending = state.incidents(), state.count_pending()
        finally:
            state.close()
    now = time.time()
    killed = find_killed(journals_of(settings.warehouse))
    for finding in killed:
        click.echo(f"failure: {finding.what}: {finding.why}")
        click.echo(f"  since {spell_time(finding.since or now)}; told: nobody, the next run will")
    for one in incidents:
        why = f": {one.finding.why}" if one.finding.why else ""
        click.echo(f"{one.kind}: {one.finding.what}{why}")
        told = ", ".join(f"{name} (not delivered yet)" if name in pending else name for name in sorted(one.told))
        told = told or "nobody"
        click.echo(f"  since {spell_time(one.opened_at)}, for {spell_duration(now - one.opened_at)}; told: {told}")
    if not incidents and not killed:
        click.echo("Nothing is known to be amiss.")
    for name, count in pending.items():
        click.echo(f"Not delivered yet to {name}: {count:,}. The next run tries again; see: kedro lake alerts test")
