"""Extracts of a REST API, by dlt's `rest_api`: paging, log-in, and waiting where the server asks for it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from bioreactor_lake.errors import LakeError, UsageError
from bioreactor_lake.lake.retries import RetryRule
from bioreactor_lake.sources.source import ExtractedTable, RestApi

SINCE = "{since}"
_EXTRA = 'pip install "bioreactor-lake[lims]"'


def read_rest_table(
    api: RestApi, table: ExtractedTable, credentials: Mapping[str, Any], since: str | None, rule: RetryRule
) -> Iterator[list[str]]:
    """The records of a table as JSON, page by page.

    Args:
        api: The API.
        table: The table.
        credentials: `username` and `password`, `token`, or `api_key`.
        since: The watermark; None for all records.
        rule: How often a request is tried.

    Raises:
        UsageError: dlt is not installed, or refuses the configuration.
        requests.RequestException: As the server or the network says.
    """
    # dlt would tell its makers of every use.
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    try:
        from dlt.common.exceptions import DltException
        from dlt.sources.helpers.requests import Client
        from dlt.sources.rest_api import rest_api_resources
    except ImportError as error:
        raise UsageError("REST sources need dlt.", next_step=_EXTRA) from error

    session = Client(
        request_timeout=api.timeout_seconds,
        request_max_attempts=rule.attempts,
        request_backoff_factor=max(rule.wait_seconds, 0.01) / 2,
        request_max_retry_delay=api.longest_wait_seconds,
        raise_for_status=False,
    ).session
    _watch(session, api, table.name)
    params = {
        name: value.replace(SINCE, back_from(since, table.overlap) if since is not None else "")
        for name, value in table.params.items()
        if since is not None or SINCE not in value
    }
    endpoint: dict[str, Any] = {"path": table.path, "params": params, "paginator": table.paginator or api.paginator}
    if table.records is not None:
        endpoint["data_selector"] = table.records
    client: dict[str, Any] = {"base_url": api.base_url, "headers": dict(api.headers), "session": session}
    if (auth := _auth(api, credentials)) is not None:
        client["auth"] = auth
    try:
        (resource,) = rest_api_resources({"client": client, "resources": [{"name": table.name, "endpoint": endpoint}]})
    except (DltException, ValueError, TypeError) as error:
        raise UsageError(
            f"dlt refuses the configuration of {table.name}: {type(error).__name__}.",
            next_step="Compare path, params, records and paginator with dlt's rest_api.",
        ) from None
    page: list[str] = []
    for record in resource:
        page.append(json.dumps(record, ensure_ascii=False, separators=(",", ":")))
        if len(page) == 1_000:
            yield page
            page = []
    yield page


def can_pass(error: BaseException) -> bool:
    """Whether an error may be gone at the next attempt of the whole extract.

    Requests are tried again by themselves; what is left is a connection that was lost within an answer.
    """
    from requests.exceptions import ChunkedEncodingError, ContentDecodingError

    return any(isinstance(one, ChunkedEncodingError | ContentDecodingError) for one in causes(error))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those behind it: dlt wraps what its resources raise."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def back_from(since: str, overlap: float) -> str:
    """A watermark less so many seconds or units, spelled as it was.

    >>> back_from("2026-11-23T10:00:00+01:00", 600), back_from("17", 2), back_from("rev-a", 9)
    ('2026-11-23T09:50:00+01:00', '15', 'rev-a')
    """
    if not overlap:
        return since
    try:
        return str(int(since) - int(overlap))
    except ValueError:
        pass
    try:
        return (datetime.fromisoformat(since) - timedelta(seconds=overlap)).isoformat()
    except ValueError:
        return since


def _auth(api: RestApi, credentials: Mapping[str, Any]) -> dict[str, Any] | None:
    needed = {"basic": ("username", "password"), "bearer": ("token",), "api_key": ("api_key",), None: ()}[api.auth]
    if missing := [name for name in needed if not credentials.get(name)]:
        raise UsageError(
            f"The credentials for {api.base_url} have no {missing[0]}.",
            next_step="Write it into conf/local/credentials.yml, or set the variable that credentials.yml names.",
        )
    if api.auth is None:
        return None
    if api.auth == "basic":
        return {"type": "http_basic", **{name: credentials[name] for name in needed}}
    if api.auth == "bearer":
        return {"type": "bearer", "token": credentials["token"]}
    place = {"name": api.auth_name, "location": api.auth_location}
    return {"type": "api_key", "api_key": credentials["api_key"], **place}


def _watch(session: Any, api: RestApi, table: str) -> None:
    """Let a session ask nobody but the API, not more often than it may be asked, and not without end."""
    send, last, home = session.send, [0.0], _origin(api.base_url)
    answered: set[tuple[Any, ...]] = set()

    def watched(request: Any, **kwargs: Any) -> Any:
        if _origin(request.url) != home:
            # The link to the next page is the server's word, and each request carries the password.
            raise LakeError(
                f"{_origin(api.base_url)} leads to {_origin(request.url)}, which is not asked.",
                next_step="Write the address by which the server knows itself as base_url, or mend its links.",
            )
        if api.requests_per_second:
            time.sleep(max(0.0, last[0] + 1 / api.requests_per_second - time.monotonic()))
            last[0] = time.monotonic()
        asked = (request.method, request.url, request.body)
        if asked in answered:
            raise _endless(table, f"calls the page {len(answered):,} its own next one")
        if len(answered) >= api.max_pages:
            raise _endless(table, f"has more than {api.max_pages:,} pages (rest.max_pages)")
        response = send(request, **kwargs)
        if response.ok:
            answered.add(asked)
        return response

    session.send = watched


def _endless(table: str, says: str) -> LakeError:
    return LakeError(
        f"The table {table} {says}.",
        kept="Nothing landed of it.",
        next_step="Compare its paginator, records and params with what the server answers: docs/lims.md.",
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
