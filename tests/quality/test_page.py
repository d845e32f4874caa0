"""The page of a run's checks: what it says, that it needs nothing beside itself, and how long it is kept."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.increments.lake import Lake, readings
from tests.quality.test_check_command import asked
from tests.quality.test_quality_mart import missing_equipment, put

from bioreactor_lake.datasets.report_files import keep_page
from bioreactor_lake.lake.runs import Run, new_run_id

CHROMIUM = shutil.which("chromium")
NEVER_CLOSED = {"meta", "link", "br", "hr", "img", "input"}
BAD_TAG = '<script>alert("x")</script>'


class Document(HTMLParser):
    """A page as it is nested, its text, and what it asks a browser to fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.fetched, self.tags = "", [], []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.bare_headers = 0
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        self.tags.append(tag)
        self.fetched += [value for name, value in attributes if name in ("src", "srcset", "data", "action")]
        self.links += [str(named["href"])] if "href" in named else []
        self.ids += [str(named["id"])] if "id" in named else []
        self.bare_headers += tag == "th" and "scope" not in named
        if tag not in NEVER_CLOSED:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] != "style":
            self.text += re.sub(r"\s+", " ", data)


@pytest.fixture
def lake(tmp_path: Path, server: str) -> Iterator[Lake]:
    lake = Lake(tmp_path / "lake", server)
    lake.checkpoints = True
    for day in (1, 2, 3):
        put(lake, day)
    yield lake
    lake.drop()


def pages(lake: Lake) -> list[str]:
    return sorted(path.stem for path in (lake.folder / "reports" / "quality").glob("*.html"))


def page_of(lake: Lake, run: Run) -> Document:
    folder = lake.folder / "reports" / "quality"
    text = (folder / f"{run.run_id}.html").read_text()
    assert text == (folder / "latest.html").read_text()
    assert len(text) < 100_000
    document = Document(text)
    assert document.fetched == []
    assert not {"script", "link", "iframe", "img"} & set(document.tags)
    assert all(link.startswith("#") and link[1:] in document.ids for link in document.links)
    assert len(document.ids) == len(set(document.ids))
    assert document.bare_headers == 0
    assert '<html lang="en">' in text
    assert not re.search(r"url\(|@import|https?:", text)
    return document


@pytest.mark.slow
def test_a_page_says_what_is_held_why_and_what_to_do(lake: Lake) -> None:
    put(lake, 2, ph=99)
    first = lake.run()
    document = page_of(lake, first)
    for said in (
        "1 batch is held", "staging.stg_bioreactor: values_are_physical: 5 of 15 rows fail", "99.0",
        'kedro lake release B-2 --reason "…"', "marts.mart_bioreactor_overview",
        "expect_column_values_to_be_between_per_tag(column: value, limits: physical)", first.run_id,
    ):  # fmt: skip
        assert said in document.text, said
    assert "carried over" not in document.text
    assert any(notice.startswith("What was checked: ") for notice in first.notices)
    put(lake, 4)
    document = page_of(lake, lake.run())
    assert "1 batch is held" in document.text
    carried = r"5 of 15 rows fail \S+ \(value\)\. Found \d{4}-\d\d-\d\d \d\d:\d\d UTC, carried over\."
    assert re.search(carried, document.text)
    count = len(pages(lake))
    assert lake.run().notices[-1].endswith("latest.html")  # there is no news
    assert len(pages(lake)) == count
    put(lake, 2)
    put(lake, 3, ph=6.0)
    document = page_of(lake, lake.run())
    assert "Published, with " in document.text
    assert "99.0" not in document.text
    count = len(pages(lake))
    lake.run()
    assert len(pages(lake)) == count  # there is no news


@pytest.mark.slow
def test_values_of_data_are_no_markup(lake: Lake) -> None:
    for batch, tag in (("B", BAD_TAG), ("C", "ph")):
        rows = readings(f"{batch}-{BAD_TAG}", 1, 12)
        lake.put(f"{batch}.parquet", [(one, "BR-1", tag, ts, 99.0) for one, _, _, ts, _ in rows])
    document = page_of(lake, lake.run())
    assert BAD_TAG in document.text
    assert "script" not in document.tags


@pytest.mark.slow
def test_a_run_that_stopped_has_a_page_without_secrets(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "equipment_count")  # as it would stand in an error
    lake.run()
    lake.logic["curated.describe_batches"] = missing_equipment
    with pytest.raises(Exception, match="equipment_count"):
        lake.run()
    document = Document((lake.folder / "reports" / "quality" / "latest.html").read_text())
    assert "The run stopped" in document.text
    assert "[hidden]" in document.text
    assert "carried over from earlier runs" in document.text


@pytest.mark.slow
def test_nothing_stands_in_the_way_of_a_run(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    (lake.folder / "reports").write_text("a file where the folder should be")
    assert lake.run().held == {}
    assert "not told everywhere" in caplog.text
    (lake.folder / "reports").unlink()
    lake.run(full_refresh=True, quality_report={"folder": None, "keep": 1})
    assert pages(lake) == []


@pytest.mark.slow
def test_a_page_of_what_is_asked_by_hand(lake: Lake, tmp_path: Path) -> None:
    put(lake, 2, ph=99)
    lake.run()
    page = tmp_path / "of" / "mine.html"
    assert asked(lake, "stg_bioreactor", "--html", str(page)).exit_code == 3
    document = Document(page.read_text())
    for said in ("Something fails", "staging.stg_bioreactor", "1 batch fails, 5 of 15 rows", "99.0"):
        assert said in document.text
    assert asked(lake, "stg_bioreactor", "--html", "/proc/none.html").exit_code == 1


def test_as_many_pages_are_kept_as_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "mine.html").write_text("of somebody else")
    runs = [str(new_run_id()) for _ in range(5)]
    for run in runs:
        keep_page(tmp_path, run, run, keep=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*(f"{run}.html" for run in sorted(runs)[-3:]), "latest.html", "mine.html"]
    )
    assert (tmp_path / "latest.html").read_text() == runs[-1]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's package chromium")
def test_a_browser_shows_it_without_a_network(lake: Lake, tmp_path: Path) -> None:
    put(lake, 2, ph=99)
    lake.run()
    page = lake.folder / "reports" / "quality" / "latest.html"
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--enable-logging=stderr",
    ]
    command += ["--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, check=True, timeout=90)
    assert "1 batch is held" in done.stdout
    # Violations of the page's own policy, of which nothing may come from elsewhere, are told on the console.
    assert "CONSOLE" not in done.stderr
