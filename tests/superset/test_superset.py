"""A real Superset with the dashboards: deployed twice, opened in Chromium, filtered, cached, and mailed as PDF."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from aiosmtpd.controller import Controller
from tests.increments.lake import PROJECT, Lake

from bioreactor_lake.superset.client import SupersetClient

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium")]
DASHBOARDS = ("bioreactor-overview", "batch-timeline", "data-quality-and-freshness")
READER_PASSWORD = "reader-of-the-tests"
# Installed once, and used again by whoever keeps a Superset up in this project.
ENVIRONMENT = PROJECT / "data" / "superset" / "venv"


class Mails:
    """A mail server that keeps what it gets."""

    def __init__(self) -> None:
        self.received: list[EmailMessage] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.received.append(message)
        return "250 OK"

    def wait_for(self, subject: str, seconds: float) -> EmailMessage:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for message in self.received:
                if subject in str(message["Subject"]):
                    return message
            time.sleep(0.5)
        raise AssertionError(f"no mail says {subject!r}: {[str(one['Subject']) for one in self.received]}")


@dataclass(eq=False)
class Superset:
    lake: Lake
    folder: Path
    process: subprocess.Popen[str]
    url: str
    said: list[str]
    mails: Mails

    @property
    def password_file(self) -> Path:
        return self.folder / "admin_password"

    @cached_property
    def client(self) -> SupersetClient:
        return SupersetClient(self.url, "admin", self.password_file.read_text().strip())

    def deploy(self) -> str:
        variables = {
            "BIOREACTOR_LAKE_SUPERSET_PASSWORD_FILE": str(self.password_file),
            "BIOREACTOR_LAKE_READER_PASSWORD": READER_PASSWORD,
        }
        done = self.lake.run_command(
            "lake", "superset", "deploy", "--url", self.url, "--mail-to", "team@example.com", **variables
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, request: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """The first answer of a chart's request."""
        answer = self.client.ask("POST", "chart/data", json={**request, **changes})
        found: dict[str, Any] = answer["result"][0]
        return found


@pytest.fixture(scope="module")
def mails() -> Iterator[tuple[Mails, int]]:
    handler = Mails()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, port
    controller.stop()


@pytest.fixture(scope="module")
def superset(server: str, tmp_path_factory: pytest.TempPathFactory, mails: tuple[Mails, int]) -> Iterator[Superset]:
    folder = tmp_path_factory.mktemp("superset")
    lake = Lake(folder / "lake", server)
    lake.checkpoints = None
    shutil.copytree(PROJECT / "data" / "01_raw" / "bioreactor", lake.raw, dirs_exist_ok=True)
    duckdb.sql(
        "COPY (SELECT 'B-0007' AS batch_id, * EXCLUDE batch_id REPLACE (CASE tag WHEN 'ph' THEN 99 ELSE value END AS "
        f"value) FROM '{lake.raw}/B-0006.parquet') TO '{lake.raw}/B-0007.parquet'"
    )
    (lake.raw / "B-0008.parquet").write_bytes(b"PAR1 cut off PAR1")
    run = lake.run_command("run")
    assert run.returncode == 3, run.stderr
    place = folder / "place"
    place.mkdir()
    ENVIRONMENT.mkdir(parents=True, exist_ok=True)
    (place / "venv").symlink_to(ENVIRONMENT)
    variables = {
        **os.environ,
        "BIOREACTOR_LAKE_RAW": str(lake.raw),
        "BIOREACTOR_LAKE_WAREHOUSE": str(lake.warehouse),
        "BIOREACTOR_LAKE_POSTGRES_URL": lake.database,
        "BIOREACTOR_LAKE_POSTGRES_ADMIN_URL": lake.database,
        "BIOREACTOR_LAKE_READER_PASSWORD": READER_PASSWORD,
        "BIOREACTOR_LAKE_SUPERSET_FOLDER": str(place),
        "SUPERSET_SMTP_HOST": "127.0.0.1",
        "SUPERSET_SMTP_PORT": str(mails[1]),
        "SUPERSET_SMTP_STARTTLS": "false",
        "SUPERSET_SMTP_FROM": "lake@example.com",
    }
    command = [sys.executable, "-m", "kedro", "lake", "superset", "up", "--port", "0", "--reports"]
    process = subprocess.Popen(
        [*command, "--workers", "1", "--mail-to", "team@example.com"],
        cwd=PROJECT,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said: list[str] = []
    try:
        assert process.stdout is not None
        url = None
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"until Ctrl-C: (http://\S+)", line):
                url = found[1]
            if line.strip().startswith("log "):
                break
        assert url is not None, "".join(said)
        threading.Thread(target=lambda: said.extend(process.stdout or ()), daemon=True).start()
        yield Superset(lake, place, process, url, said, mails[0])
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        with psycopg.connect(server, autocommit=True) as connection:
            name = lake.database.rpartition("/")[2] + "_superset"
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"DROP ROLE IF EXISTS {name}")
        lake.drop()


@pytest.fixture(scope="module")
def browsed(superset: Superset) -> dict[str, dict[str, Any]]:
    """What Chromium was shown of each dashboard, asked, and said; the first load."""
    return browse(superset, superset.folder)


def browse(superset: Superset, folder: Path) -> dict[str, dict[str, Any]]:
    assert CHROMIUM is not None
    paths = [f"/superset/dashboard/{one}/" for one in DASHBOARDS]
    command = [str(superset.folder / "venv" / "bin" / "python"), str(Path(__file__).with_name("browse.py"))]
    command += [superset.url, str(superset.password_file), str(folder), CHROMIUM, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=400)
    return {one["path"].split("/")[-2]: one for one in json.loads(done.stdout)}


def charts_of(page: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in page["requests"] if one["request"]["form_data"].get("slice_id")]


def test_a_second_deploy_changes_nothing(superset: Superset) -> None:
    before = superset.client.export_assets()
    assert "changed" in "".join(superset.said)
    assert "all unchanged" in superset.deploy()
    assert superset.client.export_assets() == before
    # What was changed by hand is as in the project again.
    number = superset.client.identify("chart", "slice_name", "Batches started per month")
    superset.client.ask("PUT", f"chart/{number}", json={"description": "by hand"})
    assert "chart Batches started per month" in superset.deploy()
    assert superset.client.export_assets() == before


def test_secrets_are_the_owners_only_and_in_no_list_of_processes(superset: Superset) -> None:
    assert superset.folder.stat().st_mode & 0o077 == 0
    secrets = {path.read_text().strip() for path in superset.folder.glob("*_password")} | {READER_PASSWORD}
    assert len(secrets) == 3
    for path in superset.folder.glob("*_password"):
        assert path.stat().st_mode & 0o077 == 0
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = cmdline.read_bytes().decode(errors="replace")
        except OSError:
            continue
        assert not any(secret in text for secret in secrets)
    text = (superset.folder / "superset.log").read_text() + "".join(superset.said)
    assert not any(secret in text for secret in secrets)
    exported = json.dumps(superset.client.export_assets(), default=str)
    assert not any(secret in exported for secret in secrets)


def test_the_report_and_the_alert_are_due(superset: Superset) -> None:
    """In a minute, once; the mails are looked at last."""
    client = superset.client
    schedules = {one["name"]: one for one in client.ask("GET", "report/")["result"]}
    assert {name: one["crontab"] for name, one in schedules.items()} == {
        "Bioreactor overview, every morning": "0 8 * * *",
        "Data quality, an error fails": "*/15 * * * *",
    }
    due = datetime.now(UTC) + timedelta(seconds=65)
    for one in schedules.values():
        client.ask("PUT", f"report/{one['id']}", json={"crontab": f"{due.minute} {due.hour} * * *"})


def test_every_chart_is_answered_with_rows_and_nothing_is_amiss(
    superset: Superset, browsed: dict[str, dict[str, Any]]
) -> None:
    numbers = {one["id"] for one in superset.client.ask("GET", "chart/?q=(page_size:100)")["result"]}
    asked: set[int] = set()
    for page in browsed.values():
        assert page["alerts"] == []
        assert [one for one in page["console"] if one[0] in ("error", "failed")] == []
        for one in page["requests"]:
            assert one["status"] == 200, one
            assert [result["error"] for result in one["results"]] == [None], one
            if one["request"]["form_data"]["viz_type"] != "filter_timegrain":  # asks the server, not a table
                assert one["results"][0]["rowcount"] > 0, one["request"]["form_data"]
        asked |= {one["request"]["form_data"]["slice_id"] for one in charts_of(page)}
    assert asked == numbers
    assert len(numbers) > 40
    crossed = [text.split()[0] for text in browsed["bioreactor-overview"]["crossed"]]
    assert crossed[:3] == ["2", "1", "23,996"]
    assert "Last published" in browsed["batch-timeline"]["text"]
    assert "B-0008.parquet" in browsed["data-quality-and-freshness"]["text"]
    assert "values_are_physical" in browsed["data-quality-and-freshness"]["text"]
    for slug in DASHBOARDS:
        assert (superset.folder / f"superset_dashboard_{slug}.png").stat().st_size > 50_000


def test_filters_change_what_is_shown(superset: Superset, browsed: dict[str, dict[str, Any]]) -> None:
    def request_of(slug: str, title: str) -> dict[str, Any]:
        number = superset.client.identify("chart", "slice_name", title)
        found = [one for one in charts_of(browsed[slug]) if one["request"]["form_data"]["slice_id"] == number]
        return dict(found[0]["request"])

    def filtered(request: dict[str, Any], column: str, value: object) -> list[dict[str, Any]]:
        query = request["queries"][0]
        if column == "time":
            filters = [
                {**one, "val": value} if one["op"] == "TEMPORAL_RANGE" else one for one in query.get("filters", [])
            ]
        else:
            kept = [one for one in query.get("filters", []) if one["col"] != column]
            filters = [*kept, {"col": column, "op": "IN", "val": [value]}]
        rows: list[dict[str, Any]] = superset.ask(request, queries=[{**query, "filters": filters}])["data"]
        return rows

    batches = request_of("bioreactor-overview", "Batches")
    for title in ("Equipment use", "Averages per tag"):
        everything = superset.ask(request_of("bioreactor-overview", title))["data"]
        for column, value in (("site", "Cork"), ("equipment_id", "BR-101"), ("batch_id", "B-0001")):
            some = filtered(request_of("bioreactor-overview", title), column, value)
            assert some
            assert some != everything, (title, column)
    assert len(superset.ask(batches)["data"]) == 1
    assert len(filtered(request_of("bioreactor-overview", "Averages per tag"), "tag", "ph")) == 1
    # The timeline shows the newest batch of each equipment until batches or times are chosen.
    shown = request_of("batch-timeline", "Batches and tags shown")
    assert {row["batch_id"] for row in superset.ask(shown)["data"]} == {"B-0004", "B-0005", "B-0006"}
    assert {row["batch_id"] for row in filtered(shown, "batch_id", "B-0001")} == {"B-0001"}
    assert {row["tag_with_unit"] for row in filtered(shown, "tag", "ph")} == {"ph"}
    january = filtered(shown, "time", "2026-01-05T00:00:00 : 2026-01-12T00:00:00")
    assert {row["batch_id"] for row in january} == {"B-0001", "B-0002"}


def test_a_second_load_is_served_from_the_cache(superset: Superset, browsed: dict[str, dict[str, Any]]) -> None:
    for page in browsed.values():
        for one in charts_of(page):
            answer = superset.ask(one["request"], force=False)
            assert answer["is_cached"] is True, one["request"]["form_data"]["slice_id"]
            assert answer["cache_timeout"] == 3600


def test_every_column_and_metric_is_described_as_in_the_marts(superset: Superset) -> None:
    with psycopg.connect(superset.lake.database) as connection:
        comments = dict(
            connection.execute(
                "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute "
                "WHERE attrelid = 'marts.mart_bioreactor_overview'::regclass AND attnum > 0 AND NOT attisdropped"
            ).fetchall()
        )
    datasets = [one for one in superset.client.export_assets().values() if "table_name" in one]
    assert len(datasets) == 8
    for dataset in datasets:
        for one in (*dataset["columns"], *dataset["metrics"]):
            assert one["description"], (dataset["table_name"], one)
            assert "$" not in one["description"]
        if dataset["table_name"] == "mart_bioreactor_overview":
            described = {one["column_name"]: one["description"] for one in dataset["columns"]}
            described.pop("tag_with_unit")
            assert described == comments


def test_dashboards_read_as_lake_reader_and_may_not_write(superset: Superset) -> None:
    exported = superset.client.export_assets()
    address = next(one["sqlalchemy_uri"] for one in exported.values() if "sqlalchemy_uri" in one)
    assert "lake_reader:XXXXXXXXXX@" in address
    reader = re.sub(r"//[^@]*@", f"//lake_reader:{READER_PASSWORD}@", superset.lake.database)
    with psycopg.connect(reader) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("DELETE FROM marts.mart_bioreactor_overview")


def test_the_report_and_the_alert_arrive_as_pdf(superset: Superset) -> None:
    for subject in ("Bioreactor overview", "An expectation of the lake fails"):
        mail = superset.mails.wait_for(subject, 240)
        assert mail["To"] == "team@example.com"
        attached = [one for one in mail.iter_attachments() if one.get_filename("").endswith(".pdf")]
        assert len(attached) == 1, [one.get_content_type() for one in mail.walk()]
        content = attached[0].get_payload(decode=True)
        assert isinstance(content, bytes)
        assert content.startswith(b"%PDF")
        assert len(content) > 50_000
        (superset.folder / f"{subject.split()[0]}.pdf").write_bytes(content)


def test_it_ends_with_all_its_processes(superset: Superset) -> None:
    """The last test of the module."""
    import psutil

    children = psutil.Process(superset.process.pid).children(recursive=True)
    assert len(children) >= 3
    superset.process.send_signal(signal.SIGINT)
    assert superset.process.wait(60) == 0
    time.sleep(0.5)
    assert not [one for one in children if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert "Superset has ended.\n" in superset.said
