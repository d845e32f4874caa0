"""What each failure comes to: what the terminal says, the exit code, what the marts hold, and what the alerted get.

That is by mail and over the web, holds no value of the data and no secret, and is followed by the end of it.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from alerted_lake import IMPOSSIBLE, PASSWORD, SOON, AlertedLake, build, readings
from psycopg.conninfo import conninfo_to_dict
from tests.increments.lake import PROJECT
from tests.increments.small_disk import fill, small_disk
from tests.retries.unready_port import UnreadyPort

pytestmark = pytest.mark.slow

OVERVIEW = "failed: marts.mart_bioreactor_overview"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertedLake]:
    folder = tmp_path_factory.mktemp("built")
    with build(folder) as built:
        yield built


@pytest.fixture
def alerted(built: AlertedLake) -> AlertedLake:
    """With `B-1` in the marts, and nobody told of anything."""
    built.restore()
    return built


@pytest.fixture
def before(alerted: AlertedLake) -> dict[str, pd.DataFrame]:
    return alerted.marts()


def assert_mended(alerted: AlertedLake, *ended: str, batches: list[str] | None = None) -> None:
    """The next run succeeds, and those who were told are told so."""
    code, said = alerted.run()
    assert code == 0, said
    assert alerted.told() == [f"recovered: {one}" for one in ended]
    assert alerted.batches() == (batches or ["B-1", "B-2"])


def test_no_raw_files(alerted: AlertedLake, before: dict[str, pd.DataFrame]) -> None:
    file = alerted.lake.raw / "B-1.parquet"
    file.rename(alerted.lake.folder / "away")
    code, said = alerted.run()
    assert code == 0
    assert f"No raw file was found in {alerted.lake.raw}. Every table is as it was.\nNext: Put Parquet files" in said
    assert "Next: Put Parquet files there" in alerted.webhook.got[0]["message"]
    assert alerted.told() == ["nothing to ingest: the raw files"]
    alerted.assert_marts(before)
    (alerted.lake.folder / "away").rename(file)
    assert_mended(alerted, "nothing to ingest: the raw files", batches=["B-1"])


def test_a_corrupt_file(alerted: AlertedLake, before: dict[str, pd.DataFrame]) -> None:
    file = alerted.lake.raw / "B-1.parquet"
    good = file.read_bytes()
    file.write_bytes(good[: len(good) // 2])
    alerted.lake.put("B-2.parquet", readings("B-2"))
    code, said = alerted.run()
    assert code == 3
    assert "Quarantined: B-1.parquet: the file is cut off or damaged" in said
    assert "1 batch is held" in said
    assert alerted.batches() == ["B-1", "B-2"]
    alerted.assert_marts(before, of="B-1")
    assert any("B-1: The newest version of B-1.parquet is quarantined" in text for text in alerted.texts)
    assert alerted.told() == ["quarantined: B-1.parquet", "held: B-1"]
    file.write_bytes(good)
    assert_mended(alerted, "quarantined: B-1.parquet", "held: B-1")


def test_a_staging_check_that_fails(alerted: AlertedLake, before: dict[str, pd.DataFrame]) -> None:
    alerted.lake.put("B-1.parquet", readings("B-1", ph=IMPOSSIBLE))
    alerted.lake.put("B-2.parquet", readings("B-2"))
    reason = "staging.stg_bioreactor: values_are_physical: 5 of 15 rows fail"
    code, said = alerted.run()
    assert code == 3
    assert f"  B-1  {reason}" in said
    assert "kedro lake release B-1" in said
    assert all(reason in message["message"] for message in alerted.webhook.got)
    assert alerted.told() == ["held: B-1"]
    alerted.assert_marts(before, of="B-1")
    assert alerted.batches() == ["B-1", "B-2"]
    alerted.lake.put("B-1.parquet", readings("B-1"))
    assert_mended(alerted, "held: B-1")


@pytest.fixture
def suites(tmp_path: Path) -> Path:
    """The folder of an environment's suites, in a configuration of the test's own."""
    shutil.copytree(PROJECT / "conf", tmp_path / "conf")
    folder = tmp_path / "conf" / "local" / "suites"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_staging_check_that_stops_all(alerted: AlertedLake, before: dict[str, pd.DataFrame], suites: Path) -> None:
    (suites / "stg_bioreactor.yml").write_text("expectations: {values_are_physical: {severity: fatal}}\n")
    alerted.lake.put("B-2.parquet", readings("B-2", ph=IMPOSSIBLE))
    code, said = alerted.run("--conf-source", str(suites.parents[1]))
    assert code == 1
    assert "staging.stg_bioreactor fails what nothing may be built on: values_are_physical: 5 of 15 rows fail" in said
    assert "Nothing was built on it.\nNext: Look at it with kedro lake check" in said
    alerted.assert_marts(before)
    assert "Kept: Nothing was built on it." in alerted.webhook.got[0]["message"]
    assert alerted.told() == ["failed: staging.stg_bioreactor"]
    alerted.lake.put("B-2.parquet", readings("B-2"))
    assert_mended(alerted, "failed: staging.stg_bioreactor")


def test_a_check_of_a_table_that_fails(alerted: AlertedLake, before: dict[str, pd.DataFrame], suites: Path) -> None:
    rule = "{type: expect_table_row_count_to_be_between, kwargs: {min_value: 2}, severity: error}"
    (suites / "dim_batch.yml").write_text(f"expectations: {{there_are_two: {rule}}}\n")
    conf = ("--conf-source", str(suites.parents[1]))
    code, said = alerted.run(*conf)
    assert code == 3
    assert "curated.dim_batch fails, which holds no batch: there_are_two: " in said
    alerted.assert_marts(before)
    assert "there_are_two: expect_table_row_count_to_be_between" in alerted.webhook.got[0]["message"]
    assert alerted.told() == ["fails its checks: curated.dim_batch"]
    alerted.lake.put("B-2.parquet", readings("B-2"))
    assert alerted.run(*conf)[0] == 0
    assert alerted.told() == ["recovered: fails its checks: curated.dim_batch"]


def test_postgres_down_before_a_publish(alerted: AlertedLake, before: dict[str, pd.DataFrame]) -> None:
    alerted.lake.put("B-2.parquet", readings("B-2"))
    alerted.stop_server()
    for told in ([OVERVIEW], []):
        code, said = alerted.run(*SOON)
        assert code == 1
        assert_said_unreachable(said)
        assert alerted.told() == told
    listed = alerted.lake.run_command("lake", "alerts").stdout
    assert listed.startswith("failure: marts.mart_bioreactor_overview: Publishing marts.mart_bioreactor_overview to ")
    assert "told: BIOREACTOR_LAKE_ALERTS, BIOREACTOR_LAKE_ALERTS 2" in listed
    alerted.assert_no_secret_is_kept()
    alerted.start_server()
    alerted.assert_marts(before)
    assert_mended(alerted, OVERVIEW)
    assert alerted.run()[0] == 0
    assert alerted.told() == []


def assert_said_unreachable(said: str) -> None:
    unwrapped = " ".join(said.split())
    for number in (1, 2):
        assert f"failed (attempt {number} of 3), trying again in 0.1 s" in unwrapped
    assert "The warehouse is valid and the old mart is in place." in said
    assert "Next: Check that Postgres is up and reachable, then run: kedro run --pipeline marts" in said
    assert "Traceback" not in said


def test_postgres_down_during_a_publish(alerted: AlertedLake, before: dict[str, pd.DataFrame]) -> None:
    alerted.lake.put("B-2.parquet", readings("B-2"))
    # Its rows are in the mart by then, and what they are is not yet.
    with alerted.waiting_at("lake.held", *SOON) as run:
        alerted.stop_server()
    code, said = run.wait()
    assert code == 1
    assert "terminating connection due to administrator command" in " ".join(said.split())
    assert_said_unreachable(said)
    alerted.start_server()
    alerted.assert_marts(before)
    assert alerted.told() == [OVERVIEW]
    assert_mended(alerted, OVERVIEW)


def test_postgres_down_after_the_publish(alerted: AlertedLake) -> None:
    alerted.lake.put("B-2.parquet", readings("B-2"))
    with alerted.waiting_at("marts.mart_run_history") as run:
        alerted.stop_server()
    code, said = run.wait()
    assert code == 0
    assert "The next run that publishes adds this one to marts.mart_run_history" in " ".join(said.split())
    assert "What was published cannot be shown: Connecting to 127.0.0.1" in said
    assert "Traceback" not in said
    alerted.start_server()
    assert alerted.batches() == ["B-1", "B-2"]
    assert alerted.told() == []
    assert_mended(alerted)


def test_a_full_disk(alerted: AlertedLake, before: dict[str, pd.DataFrame]) -> None:
    alerted.lake.put("B-2.parquet", readings("B-2"))
    folder = alerted.lake.warehouse.parent
    with small_disk(folder):
        shutil.copytree(alerted.lake.folder / "kept" / folder.name, folder, dirs_exist_ok=True)
        filler = fill(folder)
        code, said = alerted.run()
        assert code == 1
        assert "No space left on device" in said
        assert "Next: Check the disk's space" in said
        assert "cannot be kept" not in said
        alerted.assert_marts(before)
        (told,) = alerted.told()
        assert told.startswith("failed: ")
        filler.unlink()
        assert_mended(alerted, told)


def test_a_wrong_password(alerted: AlertedLake, before: dict[str, pd.DataFrame]) -> None:
    alerted.lake.put("B-2.parquet", readings("B-2"))
    wrong = f"postgresql://lake:{PASSWORD}@{alerted.lake.database.partition('@')[2]}"
    code, said = alerted.run(BIOREACTOR_LAKE_POSTGRES_URL=wrong)
    assert code == 1
    assert 'password authentication failed for user "lake"' in said
    assert "Next: Correct user and password in BIOREACTOR_LAKE_POSTGRES_URL." in said
    assert "trying again" not in said
    assert PASSWORD not in said
    alerted.assert_marts(before)
    assert alerted.told() == [OVERVIEW]
    assert_mended(alerted, OVERVIEW)


def test_a_slow_network(alerted: AlertedLake) -> None:
    alerted.lake.put("B-2.parquet", readings("B-2"))
    port = UnreadyPort(conninfo_to_dict(alerted.lake.server)["port"], delay=0.02)
    way = alerted.lake.database.replace(f":{port.target}/", f":{port.port}/")
    code, said = alerted.run(BIOREACTOR_LAKE_POSTGRES_URL=way)
    port.close()
    assert code == 0, said
    assert port.delayed > 2
    assert "trying again" not in said
    assert alerted.batches() == ["B-1", "B-2"]
    assert alerted.told() == []


def test_a_network_that_does_not_answer(alerted: AlertedLake, before: dict[str, pd.DataFrame]) -> None:
    alerted.lake.put("B-2.parquet", readings("B-2"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silence = f"postgresql://lake:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/lake?connect_timeout=2"
        code, said = alerted.run(*SOON, BIOREACTOR_LAKE_POSTGRES_URL=silence)
    assert code == 1
    assert "connection timeout expired" in said
    assert_said_unreachable(said)
    alerted.assert_marts(before)
    assert alerted.told() == [OVERVIEW]
    assert_mended(alerted, OVERVIEW)
