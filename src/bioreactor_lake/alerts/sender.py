"""`python -m bioreactor_lake.alerts.sender`: the process that delivers alerts.

Its input is one JSON text: the channels with their addresses and messages, and how many seconds they have. Its output
is one line of JSON for each message that was delivered, and for each channel that took no more.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from typing import Any

_MOMENT = 0.5


class _Delivering:
    def __init__(self, order: dict[str, Any], output: int) -> None:
        self._seconds = float(order["seconds"])
        self._channels = order["channels"]
        self._output = output
        self._lock = threading.Lock()

    def run(self) -> None:
        threads = [threading.Thread(target=self._serve, args=(channel,), daemon=True) for channel in self._channels]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _serve(self, channel: dict[str, Any]) -> None:
        """Deliver the messages of a channel in order; after the first that fails no other is tried."""
        from bioreactor_lake.alerts.addresses import without_secrets

        try:
            for message in channel["messages"]:
                if problem := self._deliver(channel["url"], message):
                    self._say(channel=channel["name"], problem=without_secrets(problem, channel["secrets"]))
                    return
                self._say(channel=channel["name"], sent=message["id"])
        except Exception as error:
            # What libraries say may hold the address, in any spelling.
            self._say(channel=channel["name"], problem=type(error).__name__)

    def _deliver(self, url: str, message: dict[str, Any]) -> str:
        """Why a message was not delivered; empty where it was."""
        import apprise

        asset = apprise.AppriseAsset(app_id="bioreactor_lake", app_desc="bioreactor_lake", storage_mode="memory")
        # A new one for each message: apprise would wait seconds between two of one object.
        service = apprise.Apprise.instantiate(url, asset=asset)
        if service is None:
            return "its address is none that apprise knows"
        formats = service.notify_format if isinstance(service.notify_format, tuple) else (service.notify_format,)
        as_html = formats[0] == apprise.NotifyFormat.HTML
        caller = apprise.Apprise(asset=asset)
        caller.add(service)
        result = caller.notify(
            title=message["subject"],
            body=message["html"] if as_html else message["text"],
            body_format=apprise.NotifyFormat.HTML if as_html else apprise.NotifyFormat.TEXT,
            notify_type=apprise.NotifyType.SUCCESS if message["good"] else apprise.NotifyType.WARNING,
            timeout=max(_MOMENT, self._seconds - _MOMENT),
        )
        if result:
            return ""
        said = [str(entry.message) for entry in result.logs() if entry.level in ("WARNING", "ERROR", "CRITICAL")]
        return said[-1] if said else "it was not delivered"

    def _say(self, **what: Any) -> None:
        with self._lock:
            os.write(self._output, json.dumps(what).encode() + b"\n")


def main() -> None:
    """Read what to deliver, and do it."""
    order = json.load(sys.stdin)
    # Libraries log addresses: nothing but reports gets out.
    output, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    logging.getLogger().addHandler(logging.NullHandler())
    logging.lastResort = None
    # Most of the time that it takes: apprise looks through all the services that it knows.
    import apprise

    apprise.Apprise.instantiate("json://localhost")
    # Whoever asked may be gone, and a server may hold the line for ever.
    end = threading.Timer(order["seconds"] + _MOMENT, os._exit, [1])
    end.daemon = True
    end.start()
    _Delivering(order, output).run()
    os._exit(0)


if __name__ == "__main__":
    main()
