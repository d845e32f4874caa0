"""Superset's REST interface, as far as dashboards and reports need it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
import yaml

from bioreactor_lake.errors import LakeError

_SECONDS = 120.0


class SupersetClient:
    """A server, as one user sees it.

    Args:
        url: Where it answers, such as http://127.0.0.1:8088.
        user: The user's name.
        password: The user's password; it is sent and never told.

    Raises:
        LakeError: It does not answer, or does not know the user.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        given = {"username": user, "password": password, "provider": "db", "refresh": False}
        answer = self.ask("POST", "security/login", json=given, told=f"let {user} in")
        self._session.headers["Authorization"] = f"Bearer {answer['access_token']}"
        # Forms need a token, and say where they come from.
        self._session.headers["X-CSRFToken"] = self.ask("GET", "security/csrf_token/")["result"]
        self._session.headers["Referer"] = f"{self.url}/"

    def ask(self, method: str, path: str, *, told: str = "", **options: Any) -> Any:
        """The answer to a request, as JSON.

        Args:
            method: HTTP's.
            path: After `/api/v1/`.
            told: What was asked for, for people.
            options: As of requests.

        Raises:
            LakeError: There was none, or it was a refusal.
        """
        return self._answer(method, path, told or f"answer {path.partition('?')[0]}", **options).json()

    def import_assets(self, bundle: bytes, passwords: Mapping[str, str]) -> None:
        """Import a bundle over what is there.

        Args:
            bundle: A zip file.
            passwords: By the database's path in the bundle.
        """
        self.ask(
            "POST",
            "assets/import/",
            files={"bundle": ("bioreactor_lake.zip", bundle, "application/zip")},
            data={"passwords": json.dumps(dict(passwords))},
            told="import the assets",
        )

    def export_assets(self) -> dict[str, dict[str, Any]]:
        """All assets of the server, by their UUIDs."""
        answer = self._answer("GET", "assets/export/", "export its assets")
        found = {}
        with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
            for name in bundle.namelist():
                asset = yaml.safe_load(bundle.read(name))
                if isinstance(asset, dict) and "uuid" in asset:
                    found[str(asset["uuid"])] = asset
        return found

    def identify(self, kind: str, column: str, value: str) -> int | None:
        """The number that the server has given something; None where it has no such thing.

        Args:
            kind: Such as `dashboard`.
            column: What it is known by.
            value: Its value of that.
        """
        asked = f"(columns:!(id,{column}),filters:!((col:{column},opr:eq,value:'{value}')))"
        found = self.ask("GET", f"{kind}/?q={asked}")["result"]
        return int(found[0]["id"]) if found else None

    def _answer(self, method: str, path: str, told: str, **options: Any) -> requests.Response:
        with self._refusals(told):
            answer = self._session.request(method, f"{self.url}/api/v1/{path}", timeout=_SECONDS, **options)
        if answer.ok:
            return answer
        raise LakeError(
            f"Superset at {self.url} does not {told}: {answer.status_code}, {_reason(answer)}",
            next_step="Check the user's password." if answer.status_code == 401 else "See Superset's log.",
        )

    @contextmanager
    def _refusals(self, told: str) -> Iterator[None]:
        try:
            yield
        except requests.RequestException as error:
            raise LakeError(
                f"Superset at {self.url} does not {told}: {type(error).__name__}.",
                next_step="Check the address, and that Superset is up.",
            ) from None  # the error might quote the request


def _reason(answer: requests.Response) -> str:
    try:
        said = answer.json()
    except ValueError:
        return answer.reason or "no reason given"
    errors = said.get("errors") or []
    texts = [str(error.get("message", "")) for error in errors] + [
        f"{name}: {issue}"
        for error in errors
        for name, issue in error.get("extra", {}).items()
        if name.endswith(".yaml")
    ]
    return "; ".join(filter(None, texts)) or str(said.get("message") or said)
