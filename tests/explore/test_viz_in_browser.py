"""`kedro viz` as people use it: its own commands, looked at with Debian's Chromium (`apt-get install chromium`)."""

import html
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from browser import Browser, served
from project_copy import Lake, Viz

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium")]


@pytest.fixture
def viz_run(lake: Lake, tmp_path: Path) -> Iterator[Viz]:
    command = [sys.executable, "-m", "kedro", "viz", "run", "--no-browser", "--host", "127.0.0.1", "--port", "{port}"]
    viz = Viz(command, lake, tmp_path / "log")
    try:
        viz.wait()
        yield viz
    finally:
        # As Ctrl-C does: the command and its child, which is the server. A signal to the command alone leaves that.
        if viz.process.poll() is None:
            for one in [*psutil.Process(viz.process.pid).children(recursive=True), viz.process]:
                one.send_signal(signal.SIGINT)
            viz.process.wait(30)


def page(url: str, profile: Path) -> str:
    """The document that the browser shows once its scripts have run."""
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-background-networking", f"--user-data-dir={profile}"]
    command += ["--virtual-time-budget=20000", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=90).stdout


def test_the_side_panel_shows_a_tables_rows(viz_run: Viz, tmp_path: Path) -> None:
    document = page(f"{viz_run.url}/?pid=__default__&sid={viz_run.node_id('dim_batch')}", tmp_path / "profile")
    assert document.count('class="preview-table__row"') == 5
    for text in ("raw", "staging", "curated", "marts", "duration_hours", "B-0001", "BR-101"):
        assert f">{text}<" in document
    assert re.search(r'data-test="metadata-stats-value-rows">6<', document)


def test_the_side_panel_shows_a_nodes_columns_and_sql(viz_run: Viz, tmp_path: Path) -> None:
    document = page(f"{viz_run.url}/?pid=__default__&sid={viz_run.node_id('describe_batches')}", tmp_path / "profile")
    panel = html.unescape(re.sub("<[^>]*>", "", document.partition("pipeline-text-renderer__code")[2]))
    for text in (
        "duration_hours (DOUBLE): Hours from the batch's first reading to its last\n",
        "    ← staging.stg_bioreactor.site\n",
        "\n    COUNT(*) AS readings,\n",
        "\n  FROM staging.stg_bioreactor AS t0\n",
    ):
        assert text in panel


@pytest.fixture(scope="module")
def site(lake: Lake) -> Path:
    lake.kedro("viz", "build", "--include-previews")
    return lake.folder / "build"


def test_the_static_site_holds_every_preview(lake: Lake, site: Path) -> None:
    assert (site / "index.html").exists()
    answers = [path.read_text() for path in (site / "api").rglob("*") if path.is_file()]
    assert sum('"preview_type"' in answer for answer in answers) == 15
    assert sum('"kind"' in answer for answer in answers) == 13
    assert not any(lake.password in answer for answer in answers)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("chromium") / "profile")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with served(site) as url:
        yield url


def node_of(site: Path, name: str) -> str:
    nodes = json.loads((site / "api/main").read_text())["nodes"]
    (found,) = [node["id"] for node in nodes if node["name"] == name]
    return str(found)


def test_the_static_site_shows_layers_and_a_tables_rows(browser: Browser, address: str, site: Path) -> None:
    browser.open(f"{address}/?pid=__default__&sid={node_of(site, 'dim_batch')}")
    browser.wait_for("document.querySelectorAll('.preview-table__row').length === 5")
    assert browser.texts(".pipeline-layer-name") == ["landing", "raw", "staging", "curated", "marts"]
    tops = "Array.from(document.querySelectorAll('.pipeline-layer-name'), one => one.getBoundingClientRect().top)"
    found = browser.evaluate(tops)
    assert found == sorted(found)
    names = browser.texts(".preview-table__header")
    assert names[:3] == ["batch_id", "site", "equipment_id"]
    assert "duration_hours" in names
    assert "B-0001" in browser.text(".preview-table")


def test_the_static_site_shows_a_nodes_sql(browser: Browser, address: str, site: Path) -> None:
    browser.open(f"{address}/?pid=__default__&sid={node_of(site, 'describe_batches')}")
    browser.wait_for("document.querySelector('[class*=pipeline-text-renderer]') !== null")
    shown = browser.text("[class*=pipeline-text-renderer]")
    assert "FROM staging.stg_bioreactor AS t0" in shown
    assert "duration_hours (DOUBLE): Hours from the batch's first reading to its last" in shown


def test_the_static_site_draws_a_batch(browser: Browser, address: str, site: Path) -> None:
    browser.open(f"{address}/?pid=__default__&sid={node_of(site, 'mart_bioreactor_timeline')}")
    browser.wait_for("document.querySelectorAll('.pipeline-plotly-chart .scatterlayer .trace').length === 4")
    shown = " ".join(browser.texts(".pipeline-plotly-chart text"))
    for text in ("B-0006, Basel, started 2026-02-04 06:19 UTC", "vcd, 10^6 cells/mL", "hours since the batch"):
        assert text in shown


def test_the_static_site_tells_how_the_last_run_went(browser: Browser, address: str, site: Path) -> None:
    browser.open(address)
    browser.click(".pipeline-menu-button--workflow")
    browser.wait_for("document.body.innerText.toLowerCase().includes('success')")
    status = json.loads((site / "api/run-status").read_text())
    assert {node["status"] for node in status["nodes"].values()} == {"success"}
    # Kedro-Viz wants its font, and looks for a server that a static site has not; the pages do without both.
    known = ("fonts.googleapis.com", "api/metadata", "metadata fetch error")
    assert [said for said in browser.complaints if not any(one in said for one in known)] == []
    assert {url.partition("/css")[0] for url in browser.asked_elsewhere()} <= {"https://fonts.googleapis.com"}
