"""Why an event did not get through, in words that hold no secret.

What the libraries say holds URLs with passwords in them: known faults are put in words of our own, and of others the
configured values are taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

_MOST_CHARACTERS = 200
# Answers that are about the event itself. The others are about the one who sends, the address or the moment: another
# event would be answered alike.
_ABOUT_THE_EVENT = frozenset({400, 409, 413, 422})


class UnsuitableEvent(Exception):  # noqa: N818 - the event is at fault, not the program
    """An event of which the OpenLineage client makes none."""


def is_refusal(error: BaseException) -> bool:
    """Whether a target would refuse the event at any time, and others it may take."""
    # Of the error itself: behind it may stand what a server of tokens answered, which no event is to blame for.
    return isinstance(error, UnsuitableEvent) or _answer(error) in _ABOUT_THE_EVENT


def reason_of(error: BaseException, values: Iterable[str] = ()) -> str:
    """Why something failed, as the end of a sentence.

    Args:
        error: What a transport or the client raised.
        values: What is configured, and must not be said.
    """
    if isinstance(error, UnsuitableEvent):
        return f"it is no event for the OpenLineage client: {_without(str(error), values)}"
    if (status := _status(error)) is not None:
        return f"answered {status} {_phrase(status)}".rstrip()
    names = {type(each).__name__ for each in _chain(error)}
    timeouts = {"ReadTimeoutError", "ReadTimeout", "ConnectTimeout", "ConnectTimeoutError"}
    if names & timeouts or any(isinstance(each, TimeoutError) for each in _chain(error)):
        return "no answer in time"
    if any(isinstance(each, ConnectionRefusedError) for each in _chain(error)):
        return "refused the connection"
    if "NameResolutionError" in names:
        return "its name is not known"
    if "SSLError" in names:
        return "its TLS certificate was not accepted"
    if "ConnectionError" in names:
        return "the connection broke"
    last = error if isinstance(error, ImportError) else list(_chain(error, causes_only=True))[-1]
    return f"{type(last).__name__}: {_without(str(last), values)}".removesuffix(": ")


def _status(error: BaseException) -> int | None:
    for each in _chain(error):
        if (status := _answer(each)) is not None:
            return status
        if type(each).__name__ == "ResponseError" and (found := re.search(r"too many (\d{3}) error", str(each))):
            return int(found[1])
    return None


def _answer(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return None if status is None else int(status)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _chain(error: BaseException, *, causes_only: bool = False) -> Iterator[BaseException]:
    """An error and what is behind it; requests keeps the errors of urllib3 among its arguments."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting.append(each.__cause__)
        if not causes_only:
            waiting += [each.__context__, getattr(each, "reason", None), *each.args]


def configured_values(configuration: Any) -> Iterator[str]:
    """Every text in a configuration, and of every URL the parts that may be secret."""
    if isinstance(configuration, dict):
        for key, item in configuration.items():
            if key != "type" or not isinstance(item, str):
                yield from configured_values(item)
    elif isinstance(configuration, (list, tuple)):
        for item in configuration:
            yield from configured_values(item)
    elif isinstance(configuration, str):
        yield configuration
        try:
            parts = urlsplit(configuration)
            yield from filter(None, (parts.username, parts.password, parts.query))
        except ValueError:
            pass


def _without(text: str, values: Iterable[str]) -> str:
    text = (text.strip().splitlines() or [""])[0]
    for value in sorted(set(values), key=len, reverse=True):
        if len(value) > 1:
            text = text.replace(value, "…")
    text = re.sub(r"//[^/@\s]*@", "//", text)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
