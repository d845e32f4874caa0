"""The documentation as MkDocs builds it: no link leads nowhere, and the data dictionary says what is so."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from tests.explore.browser import CHROMIUM, Browser, served

PROJECT = Path(__file__).parents[2]
SECRET = "hunter2-of-the-pages"
pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """What a page links to, loads and can be linked at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(given.get("href", ""))
        elif "src" in given:
            self.loaded.append(given["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    # Neither raw files nor a warehouse are there.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BIOREACTOR_LAKE")}
    environment |= {
        "NO_MKDOCS_2_WARNING": "1",
        "BIOREACTOR_LAKE_RAW": str(folder.parent / "raw"),
        "BIOREACTOR_LAKE_WAREHOUSE": str(folder.parent / "nowhere" / "bioreactor.duckdb"),
        "BIOREACTOR_LAKE_POSTGRES_URL": f"postgresql://lake:{SECRET}@127.0.0.1:1/lake",
        "BIOREACTOR_LAKE_RAW_SECRET": SECRET,
        "PYTHONPATH": str(PROJECT / "src"),
    }
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_page_is_there(site: Path, pages: dict[Path, Page]) -> None:
    written = {path.relative_to(PROJECT / "docs").with_suffix(".html") for path in PROJECT.glob("docs/**/*.md")}
    dictionary = {"index", "raw", "staging", "curated", "marts", "records", "tags"}
    made = {Path("dictionary", f"{name}.html") for name in dictionary}
    assert {path.relative_to(site) for path in pages} == written | made


def test_no_secret_is_told(site: Path) -> None:
    assert not [path for path in site.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_no_link_leads_nowhere(site: Path, pages: dict[Path, Page]) -> None:
    followed = 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                assert parts.scheme in ("http", "https"), (path, link)
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            assert target.exists(), (path, link)
            if parts.fragment and target in pages:
                followed += 1
                assert unquote(parts.fragment) in pages[target].anchors, (path, link)
    assert followed > 100


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        for source in page.loaded:
            assert not urlsplit(source).netloc, (path, source)
            assert (path.parent / unquote(urlsplit(source).path)).exists(), (path, source)


def test_links_between_files_of_the_project_hold() -> None:
    """Those of the README and of the pages as they are read in the repository."""
    for path in [PROJECT / "README.md", *PROJECT.glob("docs/**/*.md")]:
        for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
            parts = urlsplit(link)
            if parts.scheme or not parts.path or "dictionary/" in parts.path:
                continue
            assert (path.parent / parts.path).exists(), (path, link)


def test_paths_that_are_named_are_there() -> None:
    for path in PROJECT.glob("docs/how-to/*.md"):
        for name in re.findall(r"`((?:conf|src|notebooks|docs|tests|deploy)/[\w./-]+)`", path.read_text()):
            assert (PROJECT / name).exists() or "local" in name, (path, name)


def test_make_does_what_the_pages_say() -> None:
    recipes = (PROJECT / "Makefile").read_text()
    told = (PROJECT / "docs/how-to/share.md").read_text()
    for target, command in (("docs", "mkdocs build --strict"), ("viz", "kedro viz build --include-previews")):
        assert f"    {command}\n" in told
        assert f"`make {target}`" in told
        assert re.search(rf"^{target}:.*\n\t.*\$\(BIN\)/{command}$", recipes, re.MULTILINE)


def cells(site: Path, page: str) -> str:
    return (site / "dictionary" / f"{page}.html").read_text(encoding="utf-8")


def test_the_dictionary_lists_tables_columns_units_checks_and_tags(site: Path) -> None:
    marts, curated = cells(site, "marts"), cells(site, "curated")
    assert 'id="marts-mart_bioreactor_timeline-hours_since_start"' in marts
    assert 'href="curated.html#curated-fact_bioreactor_batch_stats-avg_value"' in marts
    suites = sorted(PROJECT.glob("conf/base/suites/*.yml"))
    pages = "".join(cells(site, page) for page in ("staging", "curated", "marts"))
    for suite in suites:
        for check in yaml.safe_load(suite.read_text())["expectations"]:
            assert f"<td>{check}</td>" in pages, (suite, check)
    for name, tag in yaml.safe_load((PROJECT / "conf/base/tags.yml").read_text()).items():
        assert f"<code>{name}</code>" in cells(site, "tags")
        assert tag["uom"].replace("^", "^") in cells(site, "tags")
    assert "Hours from the batch's first reading to its last" in curated.replace("&#39;", "'")
    assert re.search(r"duration_hours</code></td>\s*<td>DOUBLE</td>\s*<td>h</td>", curated)


def test_the_pages_work_in_a_browser(site: Path, tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("needs Debian's package chromium")
    browser = Browser(tmp_path / "profile")
    try:
        with served(site) as url:
            browser.open(f"{url}/dictionary/marts.html#marts-mart_bioreactor_overview-avg_value")
            assert "Plain mean of the readings" in browser.text("article")
            # At 1280 pixels nothing sticks out of the page.
            assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            assert browser.evaluate("document.body.scrollWidth <= window.innerWidth")
            browser.evaluate("document.querySelector('[data-md-toggle=search]').click()")
            browser.evaluate("const box = document.querySelector('.md-search__input'); box.focus(); "
                             "box.value = 'duration_hours'; box.dispatchEvent(new Event('input', {bubbles: true})); "
                             "box.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true}))")  # fmt: skip
            found = "Array.from(document.querySelectorAll('.md-search-result__link'), one => one.href)"
            browser.wait_for(f"{found}.some(link => link.includes('/dictionary/'))")
        assert browser.complaints == []
        assert browser.asked_elsewhere() == []
    finally:
        browser.close()


def test_the_command_and_the_pages_say_the_same(site: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src")}
    command = [sys.executable, "-m", "kedro", "lake", "dictionary", "--format", "json"]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    entries = json.loads(done.stdout)
    pages = "".join(cells(site, page) for page in ("raw", "staging", "curated", "marts", "records"))
    for entry in entries:
        for column in entry["columns"]:
            # Everything is described.
            assert column["description"], (entry["name"], column["name"])
            assert f'id="{entry["name"].replace(".", "-")}-{column["name"]}"' in pages
            if column["kind"].lower().startswith("timestamp"):
                assert column["unit"] == "UTC", (entry["name"], column["name"])
