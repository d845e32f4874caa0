"""Once per incident and channel, in words that hold what is needed and nothing that is secret."""

from __future__ import annotations

import multiprocessing
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.startup import bootstrap_project
from receivers import PASSWORD, TOKEN, MailServer, Webhook

from bioreactor_lake.alerts import state_file
from bioreactor_lake.alerts.configuration import AlertSettings, from_config
from bioreactor_lake.alerts.state import AlertState
from bioreactor_lake.alerts.telling import Observation, tell, tell_of
from bioreactor_lake.errors import UsageError
from bioreactor_lake.lake.incidents import KINDS, Finding

PROJECT = Path(__file__).parents[2]
BAD = Finding("B-0042", "values outside the limits of ph", in_full="ph was 17.3", next_step="Look at the probe.")
WORSE = Finding("B-0043", "no readings of do")


def settings(folder: Path, *urls: str, credentials: dict[str, Any] | None = None, **given: Any) -> AlertSettings:
    environ = {"BIOREACTOR_LAKE_ALERTS": " ".join(urls)}
    found = from_config(given, {"alerts": credentials}, environ, warehouse=folder / "lake.duckdb", environment="local")
    folder.mkdir(exist_ok=True)
    return found


def held(*findings: Finding) -> dict[Any, Observation]:
    return {"held": Observation(findings)}


def test_an_incident_is_told_once_and_so_is_its_end(tmp_path: Path, webhook: Webhook) -> None:
    config = settings(tmp_path, webhook.url)
    assert tell(config, held(BAD), "run-1") == []
    assert tell(config, held(BAD), "run-2") == []
    assert tell(config, held(BAD, WORSE), "run-3") == []
    assert webhook.subjects == [
        "[bioreactor_lake local] held: B-0042",
        "[bioreactor_lake local] held: B-0043",
    ]
    text = webhook.got[0]["message"]
    for part in (
        "B-0042: values outside the limits",
        "host ",
        "environment local",
        "Since: 20",
        "before stays, if anything was",
    ):
        assert part in text
    assert "Next: Look at the probe." in text
    assert "Run: run-1" in text
    assert "17.3" not in text
    assert tell(config, held(WORSE), "run-4") == []
    assert tell(config, held(WORSE), "run-5") == []
    assert webhook.subjects[2:] == ["[bioreactor_lake local] recovered: held: B-0042"]
    assert re.search(r"Since: 20.* UTC, for \d+ s\n", webhook.got[2]["message"])
    # What was not looked for has not ended.
    assert tell(config, {"quarantine": Observation()}, "run-6") == []
    assert len(webhook.got) == 3


def test_many_at_once_are_one_message(tmp_path: Path, webhook: Webhook) -> None:
    many = [Finding(f"B-{number:04}") for number in range(500)]
    assert tell(settings(tmp_path, webhook.url), held(*many)) == []
    (message,) = webhook.got
    assert message["title"] == "[bioreactor_lake local] held: 500 batches"
    assert "and 480 more: kedro lake alerts" in message["message"]


def test_mail_is_plain_and_html_and_its_subject_one_line(tmp_path: Path, mail: MailServer) -> None:
    odd = Finding("B-1\r\nBcc: x@example.com <b>", "<script>")
    assert tell(settings(tmp_path, mail.url), held(odd)) == []
    (message,) = mail.got
    assert message["Subject"] == "[bioreactor_lake local] held: B-1 Bcc: x@example.com <b>"
    assert message["Bcc"] is None
    parts = {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}
    assert "<script>" not in parts["text/html"]
    assert "B-1 Bcc: x@example.com &lt;b&gt;: &lt;script&gt;" in parts["text/html"]
    assert "B-1 Bcc: x@example.com <b>: <script>" in parts["text/plain"]


def test_channels_get_their_kinds_with_or_without_names_and_values(tmp_path: Path, webhook: Webhook) -> None:
    other, third = Webhook(), Webhook()
    config = settings(
        tmp_path,
        credentials={"quality": webhook.url, "outside": other.url, "oncall": third.url},
        kinds=["held"],
        channels={"quality": {"values": True}, "outside": {"names": False}, "oncall": {"kinds": ["failure"]}},
    )
    tell(config, held(BAD))
    tell(config, held())
    assert "B-0042: ph was 17.3" in webhook.got[0]["message"]
    assert other.subjects == [f"[bioreactor_lake local] {word}held: 1 batch" for word in ("", "recovered: ")]
    for message in other.got:
        for name in ("B-0042", "ph", "lake.duckdb", "probe"):
            assert name not in message["message"]
    assert third.got == []
    other.close()
    third.close()


def test_what_goes_on_is_told_again_where_that_is_wanted(tmp_path: Path, webhook: Webhook) -> None:
    config = settings(tmp_path, webhook.url, remind_hours=0.0002)
    tell(config, held(BAD))
    time.sleep(0.8)
    tell(config, held(BAD))
    assert webhook.subjects[1] == "[bioreactor_lake local] still held: B-0042"


def test_a_channel_that_comes_later_is_told_of_what_goes_on(tmp_path: Path, webhook: Webhook) -> None:
    tell(settings(tmp_path), held(BAD))
    tell(settings(tmp_path, webhook.url), held(BAD))
    assert webhook.subjects == ["[bioreactor_lake local] held: B-0042"]


@pytest.mark.parametrize("answer", [500, 401])
def test_what_was_not_delivered_goes_out_later_in_order(tmp_path: Path, webhook: Webhook, answer: int) -> None:
    config = settings(tmp_path, webhook.url)
    webhook.answer = answer
    (notice,) = tell(config, held(BAD))
    assert notice.startswith("1 alert was not delivered yet to BIOREACTOR_LAKE_ALERTS (json): ")
    (notice,) = tell(config, held(BAD, WORSE))
    assert notice.startswith("2 alerts were not delivered yet")
    tell(config, held(WORSE))
    webhook.answer = 200
    assert tell(config, held(WORSE)) == []
    assert [subject.partition("] ")[2] for subject in webhook.subjects] == [
        "held: B-0042", "held: B-0043", "recovered: held: B-0042",
    ]  # fmt: skip


def test_a_channel_that_hangs_costs_its_seconds_and_holds_up_no_other(tmp_path: Path, webhook: Webhook) -> None:
    slow = Webhook()
    slow.delay = 60
    config = settings(tmp_path, slow.url, webhook.url, seconds=3)
    started = time.monotonic()
    (notice,) = tell(config, held(BAD))
    assert time.monotonic() - started < 5
    assert webhook.subjects == ["[bioreactor_lake local] held: B-0042"]
    assert "BIOREACTOR_LAKE_ALERTS (json)" in notice
    slow.close()


def test_no_part_of_an_address_is_told_or_kept(tmp_path: Path, mail: MailServer, webhook: Webhook) -> None:
    secrets = (PASSWORD, TOKEN, "planted-hook-password", "PlantedTokenA", "PlantedTokenB12", "PlantedTokenC45")
    urls = {
        "mail": mail.url,
        "wrong": mail.url.replace(PASSWORD, PASSWORD + "-old"),
        "hook": webhook.url,
        "refusing": webhook.url.replace("127.0.0.1:", "127.0.0.1:1"),
        "unknown": "nosuch://lake:planted-hook-password@127.0.0.1/PlantedTokenA",
        "chat": "slack://PlantedTokenA/PlantedTokenB12/PlantedTokenC45",
    }
    quoting = Finding("the run", " ".join(f"could not call {url}" for url in urls.values()))
    config = settings(tmp_path, credentials=urls, seconds=3)
    notices = tell(config, {"failure": Observation([quoting])})
    assert len(notices) == 4
    assert len(mail.got) == 1
    everything = "\n".join(notices) + str(webhook.got) + repr(config)
    everything += "\n".join(part.get_content() for part in mail.got[0].walk() if not part.is_multipart())
    everything += state_file(tmp_path / "lake.duckdb").read_bytes().decode("latin-1")
    for secret in secrets:
        assert secret not in everything
    assert "could not call" in everything


def test_a_state_that_cannot_be_kept_keeps_nobody_in_the_dark(tmp_path: Path, webhook: Webhook) -> None:
    config = settings(tmp_path, webhook.url)
    config.state_file.write_text("this is no database, but it is as long as the header of one would have to be" * 9)
    (notice,) = tell(config, held(BAD))
    assert "cannot be kept" in notice
    assert webhook.subjects == ["[bioreactor_lake local] held: B-0042"]


@pytest.mark.slow
def test_processes_that_see_the_same_tell_it_once(tmp_path: Path, webhook: Webhook) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_tell_of_both, args=(tmp_path, webhook.url, f"run-{number}")) for number in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    state = AlertState(state_file(tmp_path / "lake.duckdb"))
    assert state.count_pending() == {}
    state.close()
    assert webhook.subjects == ["[bioreactor_lake local] held: 2 batches"]


def _tell_of_both(folder: Path, url: str, run: str) -> None:
    assert tell(settings(folder, url, seconds=20), held(BAD, WORSE), run) == []


def test_a_process_that_dies_between_leaves_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "alerts.sqlite"
    process = multiprocessing.get_context("spawn").Process(target=_die_between, args=(path,))
    process.start()
    process.join(60)
    assert process.exitcode == 9
    state = AlertState(path)
    assert state.is_quiet()
    state.close()


def _die_between(path: Path) -> None:
    state = AlertState(path)
    with state.changing():
        state.see("held", [BAD], "run-1", 1.0)
        os._exit(9)


@pytest.mark.parametrize(
    "given",
    [
        {"kinds": ["held", "helt"]},
        {"kinds": "held"},
        {"names": "no"},
        {"seconds": "5"},
        {"seconds": -1},
        {"chanels": {}},
        {"channels": {"hook": {"seconds": 3}}},
    ],
)
def test_what_means_nothing_is_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        settings(tmp_path, credentials={"hook": "json://127.0.0.1"}, **given)


def test_every_kind_is_in_the_configuration_that_is_shipped() -> None:
    import yaml

    shipped = yaml.safe_load(Path(__file__).parents[2].joinpath("conf/base/alerts.yml").read_text())
    assert tuple(shipped["kinds"]) == KINDS


def test_a_command_tells_of_what_is_stale_and_never_fails_for_it(
    tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap_project(PROJECT)
    monkeypatch.setenv("BIOREACTOR_LAKE_WAREHOUSE", str(tmp_path / "lake.duckdb"))
    monkeypatch.setenv("BIOREACTOR_LAKE_ALERTS", webhook.url)
    stale = [("curated", "newest batch started 30 h ago, 24 h are allowed")]
    assert tell_of("staleness", stale, PROJECT) == []
    assert tell_of("staleness", stale, PROJECT) == []
    assert tell_of("staleness", [], PROJECT) == []
    assert [subject.partition("] ")[2] for subject in webhook.subjects] == [
        "stale: curated",
        "recovered: stale: curated",
    ]
    assert "curated: newest batch started 30 h ago" in webhook.got[0]["message"]
    monkeypatch.setenv("BIOREACTOR_LAKE_ALERTS", f"{TOKEN} is no address")
    (notice,) = tell_of("staleness", stale, PROJECT)
    assert notice.startswith("Nobody was alerted: The address of the alert channel")
    assert TOKEN not in notice
