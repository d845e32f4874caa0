"""The servers, topics and files that lineage events are sent to, as the OpenLineage client is configured.

Only the process that sends imports this module: the client is slow to import.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from openlineage.client import OpenLineageClient
from openlineage.client.transport import (
    AmazonDataZoneTransport,
    CompositeTransport,
    ConsoleTransport,
    DatadogTransport,
    FileTransport,
    GCPLineageTransport,
    HttpTransport,
    KafkaTransport,
    NoopTransport,
    TransformTransport,
    Transport,
    get_default_factory,
)
from openlineage.client.transport.noop import NoopConfig

from bioreactor_lake.lineage.delivery.client_events import to_client_event
from bioreactor_lake.lineage.delivery.configuration import client_file, transport_of_file
from bioreactor_lake.lineage.delivery.reasons import configured_values

_AT_ONCE = (
    AmazonDataZoneTransport,
    ConsoleTransport,
    DatadogTransport,
    FileTransport,
    GCPLineageTransport,
    HttpTransport,
    NoopTransport,
)
_HTTP = ("http", "async_http", "datadog")
_CONFIRMATION_SECONDS = 30.0


class UnconfirmedError(TimeoutError):
    """A transport that sends in the background did not say in time that it has sent."""


class Target:
    """One transport with a place of its own in the outbox.

    Args:
        identity: What tells it from others: its name, kind and address, without secrets.
        transport: What it is made of, in the client's words.
        client_config: What else the client is configured with.
    """

    def __init__(self, identity: str, transport: dict[str, Any], client_config: dict[str, Any]) -> None:
        self.identity = identity
        self.values = list(configured_values(transport))
        self._transport = transport
        self._client_config = client_config
        self._client: OpenLineageClient | None = None

    def send(self, event: dict[str, Any]) -> None:
        """Send an event, and come back when it is there.

        Args:
            event: An OpenLineage run event.

        Raises:
            Exception: Whatever the transport raises when it cannot send.
        """
        client_event = to_client_event(event)
        if self._client is None:
            transport = get_default_factory().create(copy.deepcopy(self._transport))
            _wait_for_delivery(transport)
            self._client = OpenLineageClient(config=self._client_config, transport=transport)
        try:
            self._client.emit(client_event)
            confirmed = self._confirm(self._client.transport)
        except BaseException:
            # What a transport of the background still holds must not go out after this event was given up.
            self._client = None
            raise
        if not confirmed:
            self._client = None
            raise UnconfirmedError

    def _confirm(self, transport: Transport) -> bool:
        if isinstance(transport, TransformTransport):
            return self._confirm(transport.transport)
        if isinstance(transport, CompositeTransport):
            return all(self._confirm(each) for each in transport.transports)
        if isinstance(transport, _AT_ONCE):
            return True
        if isinstance(transport, KafkaTransport):
            done = transport.wait_for_completion(_CONFIRMATION_SECONDS)
            if (fault := getattr(transport.producer, "fault", None)) is not None:
                raise RuntimeError(str(fault))
            return done
        # Of a transport that is not the client's own only this is sure: closed, it holds nothing back.
        self._client = None
        return bool(transport.close(_CONFIRMATION_SECONDS))


class _Producer:
    """A Kafka producer that remembers what the client only logs: that a message was not delivered."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self.fault: Any = None

    def produce(self, *arguments: Any, on_delivery: Any = None, **options: Any) -> None:
        def remember(error: Any, message: Any) -> None:
            self.fault = self.fault or error

        self._producer.produce(*arguments, on_delivery=remember, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)


def _wait_for_delivery(transport: Transport) -> None:
    if isinstance(transport, TransformTransport):
        _wait_for_delivery(transport.transport)
    elif isinstance(transport, CompositeTransport):
        for each in transport.transports:
            _wait_for_delivery(each)
    elif isinstance(transport, HttpTransport):
        # A redirect turns the event into a GET, to a page to log in for instance, which answers 200.
        transport.session.max_redirects = 0
    elif isinstance(transport, KafkaTransport) and transport.producer is not None:
        transport.flush = False  # it would wait for as long as the broker is away
        transport.producer = _Producer(transport.producer)


def find_targets(given: Mapping[str, Any], seconds: float) -> list[Target]:
    """The targets that the client's configuration names, by its own rules of what goes before what.

    Args:
        given: What the project configures as `transport`.
        seconds: How long an HTTP server may take for an event where the configuration does not say.

    Raises:
        ValueError: The configuration cannot be read, or names no transport.
    """
    file = client_file(os.environ, Path.cwd())
    if file is not None and transport_of_file(file) == "unreadable":
        raise ValueError(f"{file} cannot be read")
    config = {"transport": dict(given)} if given else {}
    # With a transport at hand the client makes none, but works out what all sources together configure.
    client = OpenLineageClient(config=copy.deepcopy(config), transport=NoopTransport(NoopConfig()))
    merged = copy.deepcopy(client.config.transport) or {}
    if not merged.get("type"):
        by_url = merged.get("transports", {}).get(OpenLineageClient.DEFAULT_URL_TRANSPORT_NAME)
        if by_url is None:
            raise ValueError("no transport type is configured")
        merged = by_url
    targets: dict[str, Target] = {}
    for leaf in _take_apart(merged):
        identity = base = _identity(leaf)
        number = 1
        while identity in targets:
            number += 1
            identity = f"{base} ({number})"
        targets[identity] = Target(identity, _for_this_process(leaf, seconds), config)
    return list(targets.values())


def _take_apart(transport: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The transports within composite ones: each is a target, so that a dead one holds up no other.

    A composite that stops at the first success is left whole: its parts stand in for each other.
    """
    if transport.get("type") == "transform" and isinstance(transport.get("transport"), dict):
        for inner in _take_apart(transport["transport"]):
            yield transport | {"transport": inner}
    elif transport.get("type") == "composite" and transport.get("continue_on_success", True):
        for child in _children(transport):
            yield from _take_apart(child)
    else:
        yield transport


def _children(composite: dict[str, Any]) -> list[dict[str, Any]]:
    children = composite.get("transports") or []
    if isinstance(children, dict):
        return [{**child, "name": name} for name, child in children.items() if child]
    return list(children)


def _for_this_process(transport: dict[str, Any], seconds: float) -> dict[str, Any]:
    """A transport as it serves where somebody waits for each event: no long retries, nothing in the background."""
    kind = transport.get("type")
    if kind == "composite":
        return transport | {"transports": [_for_this_process(child, seconds) for child in _children(transport)]}
    if kind == "transform":
        return transport | {"transport": _for_this_process(transport["transport"], seconds)}
    if kind in _HTTP:
        transport = {"retry": {"total": 1, "backoff_factor": 0.1}, "timeout": seconds} | transport
    if kind == "async_http":
        # This process is the background, and the plain transport says whether an event arrived.
        return transport | {"type": "http"}
    return transport | {"async_transport_rules": {}} if kind == "datadog" else transport


def _identity(transport: dict[str, Any]) -> str:
    kind, name = str(transport.get("type")), transport.get("name")
    if kind == "transform":
        return f"{_identity(transport['transport'])} by {transport.get('transformer_class')}"
    if kind == "composite":
        return "first of " + ", ".join(_identity(child) for child in _children(transport))
    address = _address(transport)
    if not address.startswith(("http:", "https:")):
        address = " ".join(filter(None, (kind, address)))
    named = name and name != OpenLineageClient.DEFAULT_URL_TRANSPORT_NAME
    return f"{name} ({address})" if named else address


def _address(transport: dict[str, Any]) -> str:
    if transport.get("type") in ("http", "async_http"):
        url = str(transport.get("url", "")).strip()
        return without_secrets(urljoin(url, str(transport.get("endpoint", "api/v1/lineage"))))
    if "topic" in transport:
        servers = (transport.get("config") or {}).get("bootstrap.servers", "")
        return f"{transport['topic']} {servers}".strip()
    for key in ("url", "log_file_path", "domainId", "project_id", "site"):
        if value := transport.get(key):
            return without_secrets(str(value))
    return ""


def without_secrets(url: str) -> str:
    """A URL without what signs a user in.

    >>> without_secrets("https://lake:secret@marquez:5000/api/v1/lineage?key=secret")
    'https://marquez:5000/api/v1/lineage'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    path = parts.path if parts.netloc or not parts.scheme else parts.path.rpartition("@")[2]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))
