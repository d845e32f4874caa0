"""Opens dashboards in Chromium, by Playwright of Superset's own environment; tells what was asked, answered and said.

python browse.py URL PASSWORD_FILE FOLDER CHROMIUM PATH [PATH ...]
"""

import json
import sys
import time
from pathlib import Path

from playwright.sync_api import Page, Response, sync_playwright

WIDTH = 1280
# A click on an equipment of its table filters the other charts: it has two batches.
CROSSED = "bioreactor-overview"


def settle(page: Page) -> None:
    """Until every chart, those further down included, has drawn itself."""
    page.wait_for_selector(".dashboard-grid, .grid-container", timeout=180_000)
    page.wait_for_timeout(1000)
    height = page.evaluate("document.querySelector('.grid-container, .dashboard-content')?.scrollHeight || 4000")
    page.set_viewport_size({"width": WIDTH, "height": min(int(height) + 400, 6000)})
    deadline = time.monotonic() + 90
    quiet = 0
    while quiet < 4 and time.monotonic() < deadline:
        page.wait_for_timeout(500)
        busy = page.locator(".loading, [data-test='loading-indicator'], .dashboard-chart .loading").count()
        quiet = 0 if busy else quiet + 1
    page.wait_for_timeout(1200)


def main(url: str, password_file: str, folder: str, chromium: str, *paths: str) -> None:
    told = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(viewport={"width": WIDTH, "height": 900}, timezone_id="America/New_York")
        page = context.new_page()
        page.goto(f"{url}/login/")
        page.fill("input[type='text']", "admin")
        page.fill("input[type='password']", Path(password_file).read_text().strip())
        page.click("button[type='submit'], input[type='submit']")
        page.wait_for_url(lambda now: "/login" not in now, timeout=180_000)
        for path in paths:
            said, asked = [], []
            page = context.new_page()
            page.on("console", lambda one, said=said: said.append([one.type, one.text]))
            page.on("pageerror", lambda error, said=said: said.append(["error", str(error)]))

            def heard(answer: Response, asked: list = asked) -> None:
                if "/api/v1/chart/data" in answer.url and answer.request.method == "POST":
                    began = answer.request.timing
                    asked.append((answer, began))

            page.on("response", heard)
            page.on("requestfailed", lambda one, said=said: said.append(["failed", one.url]))
            page.goto(f"{url}{path}")
            settle(page)
            name = path.strip("/").replace("/", "_").partition("?")[0]
            page.screenshot(path=f"{folder}/{name}.png")
            requests = []
            for answer, _ in asked:
                given = answer.request.post_data_json
                try:
                    body = answer.json()
                except Exception:
                    body = {"result": [], "text": answer.text()[:500]}
                requests.append(
                    {
                        "url": answer.url,
                        "status": answer.status,
                        "seconds": answer.request.timing["responseEnd"] / 1000,
                        "request": given,
                        "results": [
                            {key: one.get(key) for key in ("rowcount", "is_cached", "error", "status", "colnames")}
                            for one in body.get("result", [])
                        ],
                        "message": body.get("message") or body.get("errors"),
                    }
                )
            errors = page.locator("[data-test='error-alert'], .chart-container .ant-alert-error").all_inner_texts()
            told.append(
                {"path": path, "console": said, "requests": requests, "alerts": errors, "text": page.inner_text("body")}
            )
            if CROSSED in path:
                page.locator("td:text-is('BR-201')").first.click()
                page.wait_for_selector(".superset-legacy-chart-big-number :text-is('2')", timeout=90_000)
                told[-1]["crossed"] = page.locator(".superset-legacy-chart-big-number").all_inner_texts()
            page.close()
        browser.close()
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
