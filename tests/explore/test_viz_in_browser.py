"""`kedro viz` as people use it: its own commands, looked at with Debian's Chromium (`apt-get install chromium`)."""

import html
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
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


def test_the_static_site_holds_every_preview(lake: Lake) -> None:
    lake.kedro("viz", "build", "--include-previews")
    site = lake.folder / "build"
    assert (site / "index.html").exists()
    answers = [path.read_text() for path in (site / "api").rglob("*") if path.is_file()]
    assert sum('"preview_type"' in answer for answer in answers) == 9
    assert sum('"kind"' in answer for answer in answers) == 9
    assert not any(lake.password in answer for answer in answers)
