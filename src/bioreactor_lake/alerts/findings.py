"""Findings made of errors, without the values that engines put into theirs."""

from __future__ import annotations

from datetime import UTC, datetime

from bioreactor_lake.errors import LakeError, NothingToIngest
from bioreactor_lake.lake.incidents import Finding

# Shorter ones are words that may stand anywhere.
_SHORTEST = 12


def describe_failure(what: str, known: LakeError | None, error: BaseException) -> Finding:
    """The failure of a run.

    Args:
        what: The table that could not be written, or what else it befell.
        known: The lake's own error, if there is one.
        error: What ended the run.
    """
    causes = _causes(error)
    if known is None:
        last = causes[-1] if causes else error
        why = f"{_name_of(last)}, which the lake does not know"
        return Finding(what, why, in_full=f"{_name_of(last)}: {last}", next_step="Look at what the run printed.")
    full, why = known.what, known.plain or known.what
    for cause in causes:
        if not _is_plain(cause):
            why = _without(why, cause)
    return Finding(what, why, full if full != why else "", known.kept, _without_all(known.next_step, causes))


def describe_signal(what: str, name: str) -> Finding:
    """That a run was ended by a signal."""
    return Finding(what, f"It was ended by {name}", next_step="See who ended it, then: kedro run")


def describe_nothing(error: NothingToIngest) -> Finding:
    """That there was nothing to take in."""
    return Finding("the raw files", error.what, kept=error.kept, next_step=error.next_step)


def find_lateness(nominal_time: datetime, minutes: float) -> list[Finding]:
    """A scheduled run that ends now, if that is late."""
    late = (datetime.now(UTC) - nominal_time).total_seconds() / 60
    if late <= minutes:
        return []
    why = f"scheduled for {nominal_time.astimezone(UTC):%Y-%m-%d %H:%M} UTC, it ended {late:,.0f} minutes later"
    return [Finding("the scheduled run", f"{why}; {minutes:g} are allowed")]


def _causes(error: BaseException) -> list[BaseException]:
    """An error and what is behind it, but for the lake's own and those that only pass them on."""
    found: list[BaseException] = []
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        if not isinstance(each, LakeError | SystemExit) and not type(each).__module__.startswith("kedro"):
            found.append(each)
        each = each.__cause__ or each.__context__
    return found


def _is_plain(error: BaseException) -> bool:
    """Whether what an engine says is about files, the network or the machine, and never about a value."""
    import duckdb
    import psycopg

    machine = (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.InterruptException, duckdb.PermissionException)
    return isinstance(error, (psycopg.OperationalError, OSError, *machine))


def _without_all(text: str, causes: list[BaseException]) -> str:
    for cause in causes:
        if not _is_plain(cause):
            text = _without(text, cause)
    return text


def _without(text: str, error: BaseException) -> str:
    """A text with the name of an error in place of what it says, of which texts quote the whole, a line or its end."""
    said = [str(error), *str(error).splitlines()]
    said += [line.split(": ", 1)[-1] for line in said]
    for part in sorted({part.strip().rstrip(".") for part in said}, key=len, reverse=True):
        if len(part) >= _SHORTEST:
            text = text.replace(part, _name_of(error))
    return text


def _name_of(error: BaseException) -> str:
    code = getattr(error, "sqlstate", None)
    library = type(error).__module__.partition(".")[0].lstrip("_")
    name = type(error).__name__ if library == "builtins" else f"{library}.{type(error).__name__}"
    return f"{name} ({code})" if code else name
