"""Events reach their servers in order and once, whatever the servers do, and a run never waits long for them."""

import json
import time
from pathlib import Path

import pytest

from bioreactor_lake.lineage.delivery.outbox import Outbox

MOST_SECONDS = 4.0  # the run's budget is 1.5 s; the rest is for a machine that is busy


def http(server, **more) -> dict:
    return {"transport": {"type": "http", "url": server.url, **more}}


def kept(root: Path) -> int:
    outbox = Outbox(root / "data" / "lineage")
    try:
        return outbox.size()
    finally:
        outbox.close()


def test_events_arrive_in_order_and_once_while_the_run_goes_on(start_emitting, server_of_events, root, journal) -> None:
    process = start_emitting(http(server_of_events), count=15, pause=0.15)
    deadline = time.monotonic() + 20
    while not server_of_events.numbers and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None
    out, _ = process.communicate(timeout=30)
    said = json.loads(out.splitlines()[-1])
    assert said["notices"] == []
    assert "openlineage" not in said["modules"]
    assert server_of_events.numbers == list(range(15))
    assert kept(root) == 0
    # What arrives is what the file holds, with what the client adds.
    line = json.loads(journal.read_text().splitlines()[0])
    arrived = server_of_events.received[0]
    assert arrived["run"]["facets"]["parent"]["job"] == line["run"]["facets"]["parent"]["job"]
    assert arrived["run"]["facets"]["tags"]["tags"][0] == {"key": "environment", "value": "local", "source": "KEDRO"}
    assert [output["name"] for output in arrived["outputs"]] == ["curated.dim_batch"]
    assert arrived["schemaURL"].endswith("/RunEvent")


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("refuse", "refused the connection"),
        ("hang", ""),
        pytest.param("slow:30", "", marks=pytest.mark.slow),
        ("500", "answered 500 Internal Server Error"),
        pytest.param("400", "answered 400 Bad Request", marks=pytest.mark.slow),
        pytest.param("die", "the connection broke", marks=pytest.mark.slow),
    ],
)
def test_a_server_in_trouble_costs_a_run_little_and_loses_nothing(
    behaviour, reason, emit, replay, server_of_events, root
) -> None:
    if behaviour == "refuse":
        server_of_events.stop()
    server_of_events.behaviour = behaviour
    waits = {} if reason else {"seconds": 1.5}
    said = emit(http(server_of_events) | waits, count=4)
    (notice,) = said["notices"]
    if reason:
        target = f"{server_of_events.url}/api/v1/lineage"
        assert notice == f"4 lineage events are not sent yet to {target} ({reason}): kedro lake lineage replay"
    else:
        assert said["emitting"] + said["closing"] < MOST_SECONDS
        assert notice.startswith("4 lineage events are not sent yet")
    assert kept(root) == 4
    server_of_events.stop()
    server_of_events.behaviour = "accept"
    server_of_events.start()
    report = replay(http(server_of_events))
    # What a server got without saying so is sent once more; nothing else is.
    assert server_of_events.numbers[-4:] == [0, 1, 2, 3]
    assert set(server_of_events.numbers[:-4]) <= {0}
    assert report["targets"][f"{server_of_events.url}/api/v1/lineage"]["sent"] == 4
    assert kept(root) == 0


def test_what_a_run_left_goes_out_before_the_events_of_the_next(emit, server_of_events) -> None:
    server_of_events.behaviour = "503"
    assert "5 lineage events are not sent yet" in emit(http(server_of_events), count=5)["notices"][0]
    server_of_events.behaviour = "accept"
    assert emit(http(server_of_events), first=5, count=5)["notices"] == []
    assert server_of_events.numbers == list(range(10))


@pytest.mark.slow
@pytest.mark.parametrize(
    "trouble", ["hang", pytest.param("500", marks=pytest.mark.slow), pytest.param("refuse", marks=pytest.mark.slow)]
)
def test_a_dead_server_neither_holds_up_nor_repeats_another(trouble, emit, replay, new_server, root) -> None:
    alive, dead = new_server(), new_server()
    dead.behaviour = trouble
    if trouble == "refuse":
        dead.stop()
    config = {
        "transport": {
            "type": "composite",
            "transports": {
                "dead": {"type": "http", "url": dead.url, "timeout": 0.5},
                "alive": {"type": "async_http", "url": alive.url},
            },
        }
    }
    for first in (0, 3):
        (notice,) = emit(config, first=first, count=3)["notices"]
        assert f"{first + 3} lineage events are not sent yet to dead ({dead.url}" in notice
    assert alive.numbers == list(range(6))
    dead.stop()
    dead.behaviour = "accept"
    dead.start()
    replay(config)
    assert dead.numbers == list(range(6))
    assert alive.numbers == list(range(6))
    assert kept(root) == 0


@pytest.mark.slow
def test_a_target_that_is_not_configured_for_a_while_misses_nothing(emit, replay, new_server, root) -> None:
    first, second = new_server(), new_server()
    first.behaviour = "500"
    emit(http(first), count=3)
    assert emit(http(second), first=3, count=3)["notices"] == []
    assert second.numbers == list(range(6))  # new, so it starts at the oldest that is kept
    first.behaviour = "accept"
    replay(http(first))
    assert first.numbers == list(range(6))
    assert second.numbers == list(range(6))
    assert kept(root) == 0


@pytest.mark.slow
def test_what_a_server_refuses_is_set_aside_when_asked(emit, replay, server_of_events, root, journal) -> None:
    server_of_events.refused_jobs = {"marts.1"}
    config = http(server_of_events)
    assert "3 lineage events are not sent yet" in emit(config, count=4)["notices"][0]
    target = f"{server_of_events.url}/api/v1/lineage"
    left = replay(config)["targets"][target]
    assert left == {"sent": 0, "set_aside": 0, "problem": "answered 400 Bad Request", "refused": True}
    assert server_of_events.numbers == [0]
    assert replay(config, set_aside=True)["targets"][target] == {
        "sent": 2, "set_aside": 1, "problem": "", "refused": False,
    }  # fmt: skip
    assert server_of_events.numbers == [0, 2, 3]
    (refused,) = map(json.loads, (journal.parent / "refused.jsonl").read_text().splitlines())
    assert (refused["target"], refused["reason"]) == (target, "answered 400 Bad Request")
    assert refused["event"] == json.loads(journal.read_text().splitlines()[1])
    assert kept(root) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "code", ["401", *(pytest.param(code, marks=pytest.mark.slow) for code in ("403", "404", "429", "500"))]
)
def test_nothing_is_set_aside_for_what_no_event_is_to_blame_for(code, emit, replay, server_of_events, root) -> None:
    server_of_events.behaviour = code
    emit(http(server_of_events), count=2)
    report = replay(http(server_of_events), set_aside=True)
    (target,) = report["targets"].values()
    assert (target["set_aside"], target["refused"]) == (0, False)
    assert code in target["problem"]
    assert kept(root) == 2


@pytest.mark.slow
def test_an_event_that_is_none_is_set_aside_too(emit, replay, server_of_events, root, journal) -> None:
    config = http(server_of_events)
    server_of_events.behaviour = "503"
    emit(config, count=1)
    outbox = Outbox(journal.parent)
    outbox.add('{"eventType":"DONE","eventTime":"2026-03-01T08:00:00Z","run":{"runId":"none"}}')
    outbox.close()
    server_of_events.behaviour = "accept"
    ((target, left),) = replay(config)["targets"].items()
    assert left["sent"] == 1
    assert left["refused"]
    assert "no event for the OpenLineage client" in left["problem"]
    assert replay(config, set_aside=True)["targets"][target]["set_aside"] == 1
    assert kept(root) == 0
