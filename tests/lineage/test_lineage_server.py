"""The lineage server itself: it takes valid events, and finds each way in which an event can be wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import requests
from broken_events import ALIAS, COLUMNS, LOST, REFUSED, changed, in_both, orchestrated, ordered
from lineage_picture import Picture
from lineage_server import PATH, LineageServer, Marquez, check, judge
from valid_events import GONE, NAMESPACE, PRODUCER, RAW, STAGED, event, job_type, lineage, put, run_id, small_run


def test_valid_events_pass() -> None:
    events = small_run()
    assert [judge(one) for one in events] == [(201, "")] * 4
    check(events)
    check(json.dumps(one) for one in events)
    for state in ("FAIL", "ABORT"):
        check(changed((2, "eventType", state), (3, "eventType", state))())
    check(in_both(("inputs.0.name", "/lake/raw/2026/a b.parquet"), (COLUMNS, GONE))())


@pytest.mark.parametrize(("path", "value", "status", "word"), REFUSED)
def test_refused(path: str, value: Any, status: int, word: str) -> None:
    (broken,) = changed((1, path, value))()[1:2]
    marquez = Marquez()
    assert marquez.judge(broken) == judge(broken)
    (refused,) = marquez.refusals
    assert refused.status == status
    assert word in refused.reason
    assert not marquez.events
    with pytest.raises(AssertionError, match=str(status)):
        check([broken])


@pytest.mark.parametrize("case", LOST)
def test_lost(case: str) -> None:
    make, words = LOST[case]
    marquez = Marquez()
    for one in make():
        assert marquez.judge(one) == (201, "")
    assert any(words in loss for loss in marquez.losses), marquez.losses
    with pytest.raises(AssertionError):
        check(marquez.events)


def test_what_is_no_loss() -> None:
    early = {"_schemaURL": "https://openlineage.io/spec/facets/1-0-2/ColumnLineageDatasetFacet.json"}
    untransformed = lineage(RAW, ts="ts") | early
    del untransformed["fields"]["ts"]["inputFields"][0]["transformations"]
    check(in_both((COLUMNS, untransformed))())
    check(orchestrated(named="nightly.staging", first="nightly.staging"))
    check(ordered(0, 1)())  # killed, and nothing of it ended
    check(in_both(("outputs.0.facets.symlinks", ALIAS))())


def test_any_nonsense_is_judged() -> None:
    def paths(value: Any, above: str = "") -> Iterator[str]:
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield f"{above}{key}"
            if isinstance(one, dict | list):
                yield from paths(one, f"{above}{key}.")

    (whole,) = orchestrated()[2:3]
    put(whole, "inputs", small_run()[1]["inputs"])
    put(whole, "outputs", small_run()[1]["outputs"])
    put(whole, "outputs.0.facets.symlinks", ALIAS)
    for path in paths(whole):
        for nonsense in (None, 3, "x", [], {}, [3], {"a": 3}, True):
            broken = deepcopy(whole)
            put(broken, path, nonsense)
            marquez = Marquez()
            status, reason = marquez.judge(broken)
            assert (status == 201) == (reason == "")
            if status == 201:
                Picture([broken])


@pytest.mark.parametrize("text", ["", "{", "[]", b'{"a": "\xff"}', '{"a": NaN}', '{"a": -Infinity}', '{"a": 1e999}'])
def test_no_json_of_an_event(text: str | bytes) -> None:
    marquez = Marquez()
    assert marquez.judge_text(text)[0] == 400
    assert len(marquez.refusals) == 1


def test_over_http_with_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENLINEAGE_DISABLED", raising=False)
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
    from openlineage.client.facet_v2 import job_type_job, schema_dataset
    from openlineage.client.transport.http import HttpCompression, HttpConfig, HttpTransport

    run, fields = run_id(), [schema_dataset.SchemaDatasetFacetFields(name="ts", type="timestamp")]
    facets = {"schema": schema_dataset.SchemaDatasetFacet(fields=fields)}
    kind = job_type_job.JobTypeJobFacet(processingType="BATCH", integration="KEDRO", jobType="DAG")
    with LineageServer() as server:
        for number, compression in enumerate((None, HttpCompression.GZIP)):
            config = HttpConfig(url=server.url, compression=compression)
            client = OpenLineageClient(transport=HttpTransport(config))
            client.emit(
                RunEvent(
                    eventType=(RunState.START, RunState.COMPLETE)[number],
                    eventTime=f"2026-11-23T10:00:0{number}.000000+00:00",
                    producer=PRODUCER,
                    run=Run(run),
                    job=Job(NAMESPACE, "staging", facets={"jobType": kind}),
                    inputs=[InputDataset("file", "/lake/a.parquet", facets=facets)],
                    outputs=[OutputDataset("duckdb:///lake.duckdb", "lake.staging.readings", facets=facets)],
                )
            )
        assert [one["eventType"] for one in server.events] == ["START", "COMPLETE"]
        assert server.problems == []

        url = server.url + PATH
        (broken,) = changed((1, "eventType", GONE))()[1:2]
        answer = requests.post(url, json=broken, timeout=5)
        assert (answer.status_code, answer.json()["message"]) == (500, "eventType is missing")
        json_type = {"Content-Type": "application/json"}
        assert requests.post(url, data="{NaN", headers=json_type, timeout=5).status_code == 400
        assert requests.post(url, data="{}", timeout=5).status_code == 415
        assert requests.post(server.url + "/lineage", json=broken, timeout=5).status_code == 404
        assert len(server.refusals) == 2
        assert len(server.events) == 2
        requests.post(url, json=event("COMPLETE", run_id(), "curated", facets={"jobType": job_type("DAG")}), timeout=5)
        (loss,) = server.losses
        assert "COMPLETE of curated" in loss
    with pytest.raises(requests.ConnectionError):
        requests.post(url, json=broken, timeout=5)


def test_a_table_named_twice() -> None:
    (first,) = in_both(("inputs.0", STAGED))()[1:2]
    put(first, "inputs.0.facets.schema.fields.0.type", "date")
    marquez = Marquez()
    marquez.judge(first)
    assert any("differs between inputs and outputs" in loss for loss in marquez.losses)
