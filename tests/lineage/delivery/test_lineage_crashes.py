"""kill -9 of whoever emits and of whoever sends loses no event, and repeats at most the one that was under way."""

import random
import sqlite3
import subprocess
import time
from collections import Counter

import psutil
import pytest

from bioreactor_lake.lineage.delivery.outbox import Outbox

SEEDS = (1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 15)))


def sender_of(process: subprocess.Popen) -> psutil.Process:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if children := psutil.Process(process.pid).children():
            return children[0]
        time.sleep(0.005)
    raise AssertionError("no sender was started")


def emitted(process: subprocess.Popen) -> list[int]:
    """What the process had handed over when it said so; it may have handed over one more."""
    out, _ = process.communicate(timeout=60)
    return [int(line) for line in out.splitlines() if line.isdigit()]


def pending(root) -> int:
    outbox = Outbox(root / "data" / "lineage")
    try:
        return outbox.size()
    finally:
        outbox.close()


def http(server) -> dict:
    return {"transport": {"type": "http", "url": server.url}}


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_that_is_killed_loses_nothing_and_its_sender_ends(
    seed, start_emitting, replay, server_of_events, root
) -> None:
    chance = random.Random(seed)
    server_of_events.behaviour = "slow:0.003"
    process = start_emitting(http(server_of_events), count=400, pause=0.005)
    sender = sender_of(process)
    time.sleep(chance.uniform(0, 1.6))
    process.kill()
    numbers = emitted(process)
    # It sends what it can, and does not wait for a parent that is gone.
    sender.wait(timeout=20)
    replay(http(server_of_events))
    assert set(numbers) <= set(server_of_events.numbers) <= {*numbers, len(numbers)}
    assert server_of_events.numbers == list(range(len(server_of_events.numbers)))
    assert pending(root) == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_sender_that_is_killed_repeats_one_event_at_most(
    seed, start_emitting, replay, server_of_events, root
) -> None:
    chance = random.Random(seed)
    server_of_events.behaviour = "slow:0.003"
    process = start_emitting(http(server_of_events), count=150, pause=0.01)
    sender = sender_of(process)
    time.sleep(chance.uniform(0.2, 1.6))
    sender.kill()
    numbers = emitted(process)
    assert numbers == list(range(150))
    replay(http(server_of_events))
    counts = Counter(server_of_events.numbers)
    assert set(counts) == set(numbers)
    assert sum(counts.values()) - len(counts) <= 1
    assert server_of_events.numbers == sorted(server_of_events.numbers)
    assert pending(root) == 0


def test_a_sender_that_is_killed_is_said(start_emitting, server_of_events) -> None:
    server_of_events.behaviour = "hang"
    process = start_emitting(http(server_of_events), count=8, pause=0.2)
    sender_of(process).kill()
    out, _ = process.communicate(timeout=30)
    assert "8 lineage events are not sent yet" in out
    assert "ended with exit code -9" in out


@pytest.mark.parametrize("hanging", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_sender_whose_run_is_gone_ends_by_itself(hanging, start_emitting, server_of_events, root) -> None:
    server_of_events.behaviour = "hang" if hanging else "500"
    process = start_emitting(http(server_of_events), count=3, pause=0.5)
    sender = sender_of(process)
    process.kill()
    sender.wait(timeout=20)
    assert pending(root) >= 1


@pytest.mark.slow
def test_processes_that_emit_at_once_send_every_event_once(start_emitting, replay, new_server, root) -> None:
    first, second = new_server(), new_server()
    config = {
        "transport": {"type": "composite", "transports": [{"type": "http", "url": s.url} for s in (first, second)]}
    }
    processes = [start_emitting(config, first=1000 * number, count=60, pause=0.01) for number in range(2)]
    for process in processes:
        emitted(process)
    replay(config)
    for server in (first, second):
        assert sorted(server.numbers) == sorted(1000 * number + each for number in range(2) for each in range(60))
        for number in range(2):
            own = [each for each in server.numbers if each // 1000 == number]
            assert own == sorted(own)
    assert first.numbers == second.numbers
    assert pending(root) == 0


@pytest.mark.slow
def test_a_run_tells_which_process_sends_its_events(start_emitting, server_of_events) -> None:
    server_of_events.behaviour = "hang"
    slow = {"type": "http", "url": server_of_events.url, "timeout": 60}
    other = start_emitting({"transport": slow}, count=2, pause=20)
    sender = sender_of(other)
    deadline = time.monotonic() + 20
    while not server_of_events.requests and time.monotonic() < deadline:
        time.sleep(0.02)
    out, _ = start_emitting({"transport": slow, "seconds": 4}, first=5, count=1).communicate(timeout=30)
    assert f"(process {sender.pid} is sending them)" in out


@pytest.mark.slow
def test_a_replay_waits_for_a_process_that_sends(start_emitting, replay, server_of_events) -> None:
    server_of_events.behaviour = "slow:3"
    config = {"transport": {"type": "http", "url": server_of_events.url, "timeout": 60}}
    start_emitting(config, count=1, pause=8)
    deadline = time.monotonic() + 20
    while not server_of_events.requests and time.monotonic() < deadline:
        time.sleep(0.02)
    (report,) = replay(config)["targets"].values()
    assert (report["sent"], report["problem"]) == (0, "")
    assert server_of_events.numbers == [0]


def test_a_target_that_was_given_up_does_not_keep_events_for_ever(tmp_path) -> None:
    outbox = Outbox(tmp_path)
    outbox.add('{"number": 1}')
    outbox.register(["old", "new"])
    outbox.confirm("new", 1)
    assert outbox.pending("old") == 1
    with sqlite3.connect(tmp_path / "outbox.sqlite") as connection:
        connection.execute("UPDATE progress SET configured_at = configured_at - 40 * 86400 WHERE target = 'old'")
    outbox.register(["new"])
    assert outbox.targets() == ["new"]
    assert outbox.size() == 0
    outbox.close()
