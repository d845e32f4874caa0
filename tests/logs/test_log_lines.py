"""What lines of the log have: the run, the node, the figures, and no secret."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bioreactor_lake.lake.runs import WriteReport, running
from bioreactor_lake.logs.handlers import close_file, open_file, set_up_console
from bioreactor_lake.logs.lines import JsonFormatter, LineFilter, TextFormatter

SECRET = "hunter2's"


@pytest.fixture
def said() -> Iterator[tuple[logging.Logger, io.StringIO, logging.Handler]]:
    """A logger of its own, and what it says."""
    logger, target = logging.Logger("lake_test", logging.DEBUG), io.StringIO()
    handler = logging.StreamHandler(target)
    passing = LineFilter()
    passing.secrets = frozenset({SECRET})
    handler.addFilter(passing)
    logger.addHandler(handler)
    return logger, target, handler


def fail(logger: logging.Logger) -> None:
    try:
        raise ValueError(f"could not log in with {SECRET}")
    except ValueError:
        logger.exception("It failed at %s", f"postgresql://lake:{SECRET}@db:5432/lake?password={SECRET}")


def test_json_has_the_run_the_node_and_the_figures(said) -> None:
    logger, target, handler = said
    handler.setFormatter(JsonFormatter())
    report = WriteReport("curated.dim_batch", 6, 0.1234, batches=2)
    with running() as run:
        run.node = "describe_batches"
        logger.info("Wrote %s", report, extra={"figures": report.figures})
        thread = threading.Thread(target=logger.warning, args=["several\nlines"])
        thread.start()
        thread.join()
    logger.info("after")
    first, second, third = map(json.loads, target.getvalue().splitlines())
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "INFO", "run_id": run.run_id, "node": "describe_batches", "logger": "lake_test",
        "message": "Wrote curated.dim_batch: 6 rows of 2 batches in 0.12 s",
        "table": "curated.dim_batch", "rows": 6, "batches": 2, "seconds": 0.123,
    }  # fmt: skip
    assert (second["message"], second["run_id"]) == ("several\nlines", run.run_id)
    assert (third["message"], third["run_id"], "node" in third) == ("after", "-", False)


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter(), logging.Formatter("%(run)s %(message)s")])
def test_no_secret_is_told(said, formatter: logging.Formatter) -> None:
    logger, target, handler = said
    handler.setFormatter(formatter)
    logger.info("plain %s", SECRET)
    logger.info({"password": SECRET})
    fail(logger)
    assert "hunter2" not in target.getvalue()
    assert target.getvalue().count("[hidden]") >= 4
    assert "could not log in with" in target.getvalue()


def test_text_of_several_lines_is_still_one_entry(said) -> None:
    logger, target, handler = said
    handler.setFormatter(TextFormatter())
    logger.error("first\nsecond\n2026-01-01T00:00:00.000Z INFO    made up")
    assert [line[:2] == "20" for line in target.getvalue().splitlines()] == [True, False, False]


def test_the_file_is_turned_when_a_run_begins(tmp_path: Path) -> None:
    config = {"file": "data/logs/lake.log", "max_bytes": 100, "keep": 2}
    path = tmp_path / "data" / "logs" / "lake.log"
    try:
        for number in range(5):
            open_file(tmp_path, config)
            logging.getLogger("bioreactor_lake.test").debug("run %d %s", number, "x" * 200)
        names = sorted(one.name for one in path.parent.iterdir())
        assert names == ["lake.log", "lake.log.1", "lake.log.2"]
        assert "run 4" in path.read_text()
        assert "run 2" in path.with_name("lake.log.2").read_text()
        assert path.stat().st_mode & 0o007 == 0
    finally:
        close_file()


def test_a_file_that_cannot_be_written_ends_no_run(tmp_path: Path, capsys) -> None:
    (tmp_path / "logs").write_text("a file where a folder should be")
    set_up_console()
    open_file(tmp_path, {"file": "logs/lake.log"})
    if Path("/dev/full").exists():
        open_file(tmp_path, {"file": "/dev/full", "max_bytes": sys.maxsize})
        logger = logging.getLogger("bioreactor_lake.test")
        logger.info("no room")
        logger.info("goes on")
    close_file()
    assert "Logging error" not in capsys.readouterr().err
