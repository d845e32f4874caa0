"""SENAITE's JSON API as a source, by a server that pages, limits, fails and hides what a wrong password may not see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from tests.sources.senaite_server import Senaite, serving
from tests.sources.synced_lake import PROJECT, SyncedLake

pytestmark = pytest.mark.slow


def documented(url: str) -> dict[str, Any]:
    """The example of docs/lims.md, with the address of the server."""
    pages = (PROJECT / "docs/lims.md").read_text().split("```yaml\n")[1:]
    (example,) = (one.partition("```")[0] for one in pages if "\n  senaite:\n" in one and "sources:" in one)
    sources: dict[str, Any] = yaml.safe_load(example)["sources"]
    sources["senaite"]["rest"]["base_url"] = f"{url}/senaite/@@API/senaite/v1/"
    sources["senaite"]["rest"].pop("requests_per_second", None)
    return sources


@pytest.fixture
def senaite() -> Iterator[Senaite]:
    made = Senaite()
    for number in (1, 2):
        made.add("Batch", f"b{number}", "2026-01-01T00:00:00+00:00", title=f"B-{number}", ClientBatchID="mAb")
    for number in range(1, 31):
        batch, at = 1 + number % 2, f"2026-01-01T{number % 24:02}:00:00+00:00"
        sampled = "2026-01-01T12:00:00+01:00"
        made.add(
            "AnalysisRequest", f"s{number}", at, id=f"S-{number:02}", Batch={"uid": f"b{batch}"}, DateSampled=sampled
        )
        fields = {"parent_uid": f"s{number}", "Keyword": "Glu", "Unit": "g/L", "Result": str(number)}
        made.add("Analysis", f"a{number}", at, **fields)
    with serving(made):
        yield made


@pytest.fixture
def lake(tmp_path: Path, senaite: Senaite) -> SyncedLake:
    credentials = {"senaite": {"username": senaite.user, "password": senaite.password}}
    return SyncedLake(tmp_path / "lake", documented(senaite.url), credentials)


def test_all_pages_land_unchanged_and_become_results(lake: SyncedLake, senaite: Senaite) -> None:
    senaite.faults = ["", "429", "", "500", "", "dropped"]
    said = lake.synced("senaite")
    assert "senaite.analyses: landed 30 records" in said, said
    waits = [later[0] - earlier[0] for earlier, later in zip(senaite.asked, senaite.asked[1:], strict=False)]
    assert max(waits) >= 1, "Retry-After was not waited for"
    (extract,) = lake.extracts("senaite/analyses")
    landed = [json.loads(record) for record in pq.read_table(extract).column("record").to_pylist()]
    assert landed == [item for item in senaite.items if item["portal_type"] == "Analysis"]

    lake.run()
    assert len(lake.results()) == 30
    assert ("B-2", "S-07", "glucose", "7.0") in lake.results()
    assert lake.query("SELECT DISTINCT sampled_at::VARCHAR, unit FROM curated.fact_sample_result") == [
        ("2026-01-01 11:00:00", "g/L")
    ]
    assert lake.query("SELECT batch_id, product FROM curated.dim_batch ORDER BY 1") == [("B-1", "mAb"), ("B-2", "mAb")]
    files = lake.query("SELECT path, status, reader, rows_in, arrived_by IS NOT NULL FROM landing.files ORDER BY 1")
    assert files[0] == ("senaite/analyses/extract-000001-all.parquet", "read", "extract 1", 30, True)
    arrival = lake.ledger()[-1]
    assert (arrival["how"], bool(arrival["run_id"]), len(arrival["sha256"])) == ("synced", True, 64)


def test_only_what_changed_is_asked_for_and_written(lake: SyncedLake, senaite: Senaite) -> None:
    lake.synced("senaite")
    lake.run()
    assert "nothing new" in lake.synced("senaite", "analyses")
    assert len(lake.extracts("senaite/analyses")) == 1
    asked = senaite.asked[-1][1]
    assert asked["modified_since"].startswith("2026-01-01T22:50"), asked  # ten minutes before the newest

    changed = {"parent_uid": "s7", "Keyword": "Glu", "Unit": "g/L", "Result": "< 0.1"}
    senaite.add("Analysis", "a7", "2026-02-01T00:00:00+00:00", **changed)
    lake.synced("senaite")
    assert pq.read_metadata(lake.extracts("senaite/analyses")[1]).num_rows == 2
    written = {report.table: report for report in lake.run().writes}
    assert ("B-2", "S-07", "glucose", "< 0.1") in lake.results()
    assert len(lake.results()) == 30
    assert written["curated.fact_sample_result"].batches == 1
    assert written["curated.dim_batch"].batches == 0


def test_a_wrong_password_is_no_empty_table(lake: SyncedLake, senaite: Senaite) -> None:
    credentials = {"senaite": {"username": "lab", "password": "planted-but-wrong"}}
    lake.configure(documented(senaite.url), credentials)
    first = lake.sync("senaite")
    assert first.exit_code == 1
    assert "is empty, and none has landed before" in first.output
    lake.configure(documented(senaite.url), {"senaite": {"username": senaite.user, "password": senaite.password}})
    lake.synced("senaite")
    lake.run()
    before = lake.tables()
    lake.configure(documented(senaite.url), credentials)
    for arguments in (["senaite"], ["senaite", "--full"]):
        refused = lake.sync(*arguments)
        assert refused.exit_code == 1
        assert "is empty, where the last one was not. What landed before is kept" in refused.output
        assert "--allow-empty" in refused.output
    lake.run()
    assert lake.tables() == before
    assert not lake.extracts("senaite/batches")[1:]


def test_permission_takes_an_empty_answer_for_what_it_says(lake: SyncedLake, senaite: Senaite) -> None:
    lake.synced("senaite")
    lake.run()
    senaite.items = [item for item in senaite.items if item["portal_type"] != "Analysis"]
    assert lake.sync("senaite").exit_code == 1
    lake.synced("senaite", "analyses", "--full", "--allow-empty")
    assert "nothing new" in lake.synced("senaite", "analyses")
    lake.run()
    assert lake.results() == []


@pytest.mark.parametrize(
    ("faults", "says", "times"),
    [
        (["500"] * 9, "it answered 500", 3),
        (["dropped"] * 9, "the connection was refused or lost", 3),
        (["401"], "it answered 401", 1),
    ],
)
def test_what_does_not_pass_is_told(
    lake: SyncedLake, senaite: Senaite, faults: list[str], says: str, times: int
) -> None:
    senaite.faults = faults
    result = lake.sync("senaite")
    assert result.exit_code == 1
    assert says in result.output
    assert not lake.extracts("senaite/batches")
    assert len(senaite.asked) == times


def test_an_answer_that_is_cut_off_is_asked_for_again(lake: SyncedLake, senaite: Senaite) -> None:
    senaite.faults = ["cut"]
    assert "landed 30 records" in lake.synced("senaite")


@pytest.mark.parametrize(
    ("endless", "says"), [("same", "calls the page 2 its own next one"), ("on and on", "has more than 20 pages")]
)
def test_pages_without_end_are_given_up(lake: SyncedLake, senaite: Senaite, endless: str, says: str) -> None:
    sources = documented(senaite.url)
    sources["senaite"]["rest"]["max_pages"] = 20
    lake.configure(sources, {"senaite": {"username": senaite.user, "password": senaite.password}})
    lake.synced("senaite")
    before = [path.name for path in lake.extracts("senaite/batches")]
    senaite.endless, asked = endless, len(senaite.asked)
    result = lake.sync("senaite")
    assert result.exit_code == 1
    assert says in " ".join(result.output.split())
    assert len(senaite.asked) - asked <= 20
    assert [path.name for path in lake.extracts("senaite/batches")] == before


def test_the_password_goes_to_no_other_server(lake: SyncedLake, senaite: Senaite) -> None:
    with serving(Senaite()) as other:
        senaite.next_host = other.url
        result = lake.sync("senaite")
        assert result.exit_code == 1
        assert "which is not asked" in result.output
        assert other.asked == []


def test_secrets_are_written_nowhere(
    lake: SyncedLake, senaite: Senaite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "false")
    said = lake.synced("senaite")
    senaite.faults = ["500"] * 3
    said += lake.sync("senaite").output + caplog.text
    lake.run()
    assert senaite.password not in said
    written = lake.everything_written()
    assert "data/lineage/events.jsonl" in written
    assert [path for path, content in written.items() if senaite.password.encode() in content] == []
    events = [json.loads(line) for line in written["data/lineage/events.jsonl"].splitlines()]
    mine = [(event["job"]["name"], event["eventType"]) for event in events if "sync_" in event["job"]["name"]]
    assert mine[:3] == [
        ("sync_senaite", "START"), ("sync_senaite.batches", "START"), ("sync_senaite.batches", "COMPLETE"),
    ]  # fmt: skip
    assert mine[-2:] == [("sync_senaite.batches", "FAIL"), ("sync_senaite", "FAIL")]


def test_a_configuration_that_means_nothing_is_refused(lake: SyncedLake, senaite: Senaite) -> None:
    known = documented(senaite.url)
    credentials = {"senaite": {"username": "lab"}}
    wrong = deepcopy(known)
    wrong["senaite"]["tables"]["analyses"]["wattermark"] = "modified"
    lake.configure(wrong, credentials)
    result = lake.sync("senaite")
    assert (result.exit_code, "wattermark" in result.output) == (2, True)
    lake.configure(known, credentials)
    result = lake.sync("senaite")
    assert (result.exit_code, "have no password" in result.output) == (2, True)
    assert lake.sync("nobody").exit_code == 2
