"""Keys and passwords are in no file, no list of processes, no notice and no log."""

import json
import time
from pathlib import Path

import psutil
import pytest

SECRETS = ("hunter2", "key-4711", "token-0815", "header-99")


def url(server, user: str = "lake:hunter2@") -> str:
    return f"http://{user}127.0.0.1:{server.port}/?token=token-0815"


def transport(server) -> dict:
    return {
        "type": "http",
        "url": url(server),
        "auth": {"type": "api_key", "apiKey": "key-4711"},
        "custom_headers": {"X-Key": "header-99"},
    }


def files_of(root: Path) -> list[bytes]:
    return [path.read_bytes() + path.name.encode() for path in root.rglob("*") if path.is_file()]


def assert_none(secrets, *texts: bytes) -> None:
    for text in texts:
        for secret in secrets:
            assert secret.encode() not in text


@pytest.mark.parametrize("behaviour", ["401", "refuse", "hang"])
def test_a_run_keeps_its_secrets(behaviour, start_emitting, replay, server_of_events, root) -> None:
    server_of_events.behaviour = behaviour
    if behaviour == "refuse":
        server_of_events.stop()
    config = {"transport": transport(server_of_events), "seconds": 1.5}
    process = start_emitting(config, count=4, pause=0.3, OPENLINEAGE_CLIENT_LOGGING="DEBUG")
    process.stdout.readline()
    time.sleep(0.1)
    (sender,) = psutil.Process(process.pid).children()
    arguments = " ".join(sender.cmdline()).encode()
    assert b"bioreactor_lake.lineage.delivery.sender" in arguments
    out, err = process.communicate(timeout=30)
    assert "4 lineage events are not sent yet" in out
    assert err == ""
    assert_none(SECRETS, arguments, out.encode(), *files_of(root))
    if behaviour == "401":
        assert_none(SECRETS, json.dumps(replay(config, OPENLINEAGE_CLIENT_LOGGING="DEBUG")).encode())
        # They did go to the server.
        assert server_of_events.headers[0]["X-Key"] == "header-99"


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "http", "url": "http://lake:hunter2@[::1/?token=token-0815"},
        {"type": "async_http", "url": "lake:hunter2@nowhere"},
        {"type": "http", "url": "http://lake:hunter2@nowhere.invalid", "auth": {"type": "jwt", "apiKey": "key-4711"}},
        {"type": "http", "url": "http://127.0.0.1:9", "timeout": "hunter2"},
    ],
)
def test_what_is_said_of_a_broken_configuration_holds_none(broken, emit, root) -> None:
    (notice,) = emit({"transport": broken}, count=1)["notices"]
    assert "1 lineage event is not sent yet" in notice
    assert_none(SECRETS, notice.encode(), *files_of(root))


def test_variables_that_cannot_be_read_are_not_said(emit, root) -> None:
    # Without its last brace.
    transport = json.dumps(
        {
            "type": "http",
            "url": "http://lake:hunter2@nowhere.invalid",
            "auth": {"type": "api_key", "apiKey": "key-4711"},
        }
    )[:-1]
    (notice,) = emit({}, count=1, OPENLINEAGE__TRANSPORT=transport)["notices"]
    assert "1 lineage event is not sent yet" in notice
    assert_none(SECRETS, notice.encode(), *files_of(root))
