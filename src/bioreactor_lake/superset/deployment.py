"""Bringing a Superset server to what the project says: its assets, its report and its alert."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bioreactor_lake.superset.bundle import DATABASE, zip_bundle
from bioreactor_lake.superset.client import SupersetClient

Assets = Mapping[str, Mapping[str, Any]]
_NAMES = {
    "dashboards": "dashboard_title",
    "charts": "slice_name",
    "datasets": "table_name",
    "databases": "database_name",
}


def deploy_assets(client: SupersetClient, assets: Assets, password: str) -> list[str]:
    """Import the assets over what is there.

    Args:
        client: The server.
        assets: By path, as of `bundle.read_bundle`.
        password: Of the user who reads the marts.

    Returns:
        What is new or not as it was, such as "chart Batches"; nothing where all was so already.
    """
    before = client.export_assets()
    client.import_assets(zip_bundle(assets), {DATABASE: password})
    after = client.export_assets()
    return [
        f"{path.partition('/')[0].removesuffix('s')} {_name(path, asset)}"
        for path, asset in assets.items()
        if "uuid" in asset and after.get(asset["uuid"]) != before.get(asset["uuid"])
    ]


def read_schedules(path: Path) -> list[dict[str, Any]]:
    """The reports and alerts, as Superset's interface takes them; dashboards are named by their slugs."""
    return list(yaml.safe_load(path.read_text(encoding="utf-8")))


def deploy_schedules(
    client: SupersetClient, schedules: Sequence[Mapping[str, Any]], recipients: Sequence[str], zone: str
) -> list[str]:
    """Make the reports and alerts, or bring them to what is said; known by their names.

    Args:
        client: The server, with the assets.
        schedules: As of `read_schedules`.
        recipients: Addresses of e-mail.
        zone: Of the times.

    Returns:
        Names of what is new or was changed.
    """
    target = {"target": ", ".join(recipients), "ccTarget": "", "bccTarget": ""}
    changed = []
    for schedule in schedules:
        wanted: dict[str, Any] = {
            **schedule,
            "timezone": zone,
            "dashboard": client.identify("dashboard", "slug", schedule["dashboard"]),
            "recipients": [{"type": "Email", "recipient_config_json": target}],
        }
        if wanted["type"] == "Alert":
            wanted["database"] = client.identify("database", "database_name", schedule["database"])
        number = client.identify("report", "name", wanted["name"])
        if number is None:
            client.ask("POST", "report/", json=wanted, told=f"make {wanted['name']}")
        elif _differs(wanted, client.ask("GET", f"report/{number}")["result"]):
            client.ask("PUT", f"report/{number}", json=wanted, told=f"change {wanted['name']}")
        else:
            continue
        changed.append(f"{wanted['type'].lower()} {wanted['name']}")
    return changed


def _differs(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    return any(_plain(name, there.get(name)) != _plain(name, value) for name, value in wanted.items())


def _plain(name: str, value: Any) -> Any:
    """A value as it is told and as it is given, in the same form."""
    if name in ("dashboard", "database") and isinstance(value, dict):
        return value["id"]
    if name == "validator_config_json":
        found = json.loads(value) if isinstance(value, str) else value
        return {key: float(one) if key == "threshold" else one for key, one in found.items()}
    if name == "recipients":
        return [(one["type"], _addresses(one["recipient_config_json"])) for one in value]
    return value


def _addresses(given: Any) -> dict[str, str]:
    found = json.loads(given) if isinstance(given, str) else given
    return {name: text for name, text in found.items() if text}


def _name(path: str, asset: Mapping[str, Any]) -> str:
    return str(asset.get(_NAMES[path.partition("/")[0]], path))
