"""The rule of retries as it is configured, and what it does with an error."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bioreactor_lake.errors import UsageError
from bioreactor_lake.lake.retries import RetryRule, RetryRules
from bioreactor_lake.lineage.started_by import is_scheduled

SOURCES = Path(__file__).parents[2] / "src"
LAYERS = ["ingestion", "staging", "curated", "marts"]


def rules(given: dict[str, Any], *, scheduled: bool = False) -> RetryRules:
    return RetryRules.from_parameters(given, layers=LAYERS, scheduled=scheduled)


def test_a_scheduled_run_waits_a_minute_and_another_two_seconds() -> None:
    assert rules({}).rule_for(["marts"]) == RetryRule(3, 2)
    assert rules({}, scheduled=True).rule_for(["marts"]) == RetryRule(3, 60)


def test_a_layer_differs_in_what_it_says_and_in_nothing_else() -> None:
    found = rules({"wait_seconds": 5, "layers": {"marts": {"attempts": 7}}})
    assert found.rule_for(["mart", "marts"]) == RetryRule(7, 5)
    assert found.rule_for(["curated"]) == RetryRule(3, 5)


@pytest.mark.parametrize(
    "given",
    [
        {"attempts": 0},
        {"attempts": 1.5},
        {"attempts": True},
        {"wait_seconds": -1},
        {"wait_seconds": "2"},
        {"wait": 2},
        {"layers": {"silver": {}}},
        {"layers": {"marts": {"layers": {}}}},
        {"layers": {"marts": 3}},
    ],
)
def test_what_means_nothing_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="retries"):
        rules(given)


@pytest.mark.parametrize(
    ("environ", "scheduled"),
    [
        ({}, False),
        ({"BIOREACTOR_LAKE_SCHEDULED": "true"}, True),
        ({"DAGSTER_RUN_ID": "0190d3a0-0000-7000-8000-000000000001", "DAGSTER_RUN_JOB_NAME": "nightly"}, True),
        ({"AIRFLOW_CTX_EXECUTION_DATE": "2026-11-23T02:00:00", "BIOREACTOR_LAKE_SCHEDULED": "false"}, False),
    ],
)
def test_schedulers_are_known(environ: dict[str, str], scheduled: bool) -> None:
    assert is_scheduled(environ) is scheduled


def test_each_attempt_but_the_last_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    tried = []

    def fail() -> None:
        tried.append(time.monotonic())
        raise ConnectionError("the line is dead\nand more")

    with pytest.raises(ConnectionError), caplog.at_level(logging.WARNING):
        RetryRule(3, 0.2).carry_out(fail, what="Calling", can_pass=lambda error: isinstance(error, ConnectionError))
    assert [record.getMessage() for record in caplog.records] == [
        f"Calling failed (attempt {number} of 3), trying again in 0.2 s: the line is dead" for number in (1, 2)
    ]
    assert len(tried) == 3
    assert tried[1] - tried[0] >= 0.2


def test_what_cannot_pass_is_tried_once() -> None:
    tried = []
    with pytest.raises(ZeroDivisionError):
        RetryRule(3, 5).carry_out(
            lambda: tried.append(1) or 1 / 0, what="", can_pass=lambda error: isinstance(error, OSError)
        )
    assert tried == [1]


def test_a_signal_ends_the_waiting() -> None:
    code = (
        "import signal\n"
        "from bioreactor_lake.lake.retries import RetryRule\n"
        "def fail(): print('tried', flush=True); raise ConnectionError\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "RetryRule(3, 60).carry_out(fail, what='x', can_pass=lambda e: isinstance(e, ConnectionError))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=SOURCES)
    assert process.stdout.readline() == "tried\n"
    time.sleep(0.3)
    process.terminate()
    assert process.communicate(timeout=10)[0] == ""
    assert process.returncode != 0
