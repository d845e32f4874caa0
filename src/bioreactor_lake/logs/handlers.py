"""Where lines go: Kedro's own handler on a terminal, JSON on the standard error in a container, and a rotating file."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TypedDict

from bioreactor_lake.logs.lines import JsonFormatter, LineFilter, TextFormatter

FORM_VARIABLE = "BIOREACTOR_LAKE_LOG"
logger = logging.getLogger(__name__)
_project = logging.getLogger("bioreactor_lake")
_filter = LineFilter()


class LogConfig(TypedDict, total=False):
    """The parameter group `log`.

    Args:
        file: The file, relative to the project; null for none.
        max_bytes: From this size on a run begins a new one.
        keep: How many old ones stay.
    """

    file: str | None
    max_bytes: int
    keep: int


def is_json() -> bool:
    """Whether lines are JSON: it is asked for, and nobody sits at a terminal."""
    return os.environ.get(FORM_VARIABLE) == "json" and not sys.stdout.isatty()


def set_up_console(secrets: set[str] | None = None) -> None:
    """Let what Kedro's configuration has set up say the run in every line, and no secrets.

    Its handler for terminals gives way to lines of JSON or text where there is none. Handlers of a configuration of
    somebody's own stay as they are.

    Args:
        secrets: Values that must not be told, as soon as they are known.
    """
    if secrets is not None:
        _filter.secrets = frozenset(secrets)
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler).__name__ == "RichHandler":
            console = handler.console  # type: ignore[attr-defined]
            if is_json() or not (console.is_terminal or console.is_jupyter):
                root.removeHandler(handler)
                handler = _Lines(JsonFormatter() if is_json() else TextFormatter())
                root.addHandler(handler)
            else:
                handler.setFormatter(logging.Formatter("%(run)s %(message)s"))
            # The SQL is for the file.
            handler.setLevel(max(handler.level, logging.INFO))
        if _filter not in handler.filters:
            handler.addFilter(_filter)


def open_file(project: Path, config: LogConfig) -> None:
    """Say everything to the project's file as well, the SQL included; one that cannot be written is passed over."""
    close_file()
    if not config.get("file"):
        return
    path = project / str(config["file"])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Runs begin one at a time; turning the files in the middle of one would take them from under another process.
        handler = _LakeFile(path, backupCount=config.get("keep", 5), encoding="utf-8", errors="replace")
        if path.stat().st_size > config.get("max_bytes", 10_000_000):
            handler.doRollover()
    except OSError as error:
        logger.warning("There is no log file: %s cannot be written (%s).", path, error.strerror)
        return
    handler.setFormatter(TextFormatter())
    handler.addFilter(_filter)
    logging.getLogger().addHandler(handler)
    _project.setLevel(logging.DEBUG)


def close_file() -> None:
    """Let go of the file."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _LakeFile)]:
        root.removeHandler(handler)
        with suppress(OSError):
            handler.close()


class _Lines(logging.StreamHandler[Any]):
    """Lines to whatever is the standard output or, where they are JSON, the standard error at that time."""

    def __init__(self, formatter: logging.Formatter) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(formatter)

    @property
    def stream(self) -> Any:
        """Where they go."""
        return sys.stderr if isinstance(self.formatter, JsonFormatter) else sys.stdout


class _LakeFile(RotatingFileHandler):
    """The project's file, readable by its owner and group only: SQL names batches, tags and sites."""

    def _open(self) -> Any:
        stream = super()._open()
        with suppress(OSError, AttributeError):
            os.fchmod(stream.fileno(), 0o640)
        return stream

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """A full disk ends no run, and is not said once per line."""
        close_file()
        logger.warning("The log file ends here: it cannot be written (%s).", sys.exc_info()[1])
