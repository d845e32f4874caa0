"""Superset for the lake's dashboards, the same with compose and on one's own machine: `kedro lake superset up`.

What differs comes from the environment; a secret may be a file, which the variable with `_FILE` at its end names.

    SUPERSET_SECRET_KEY           signs sessions
    SUPERSET_DATABASE_URL         Superset's own database, without the password
    SUPERSET_DATABASE_PASSWORD    its password
    SUPERSET_REDIS_URL            cache and queue, without the password; else both are files in SUPERSET_FOLDER
    SUPERSET_REDIS_PASSWORD       its password
    SUPERSET_FOLDER               where cache and queue are without Redis
    SUPERSET_INTERNAL_URL         where the worker opens dashboards for reports
    SUPERSET_PUBLIC_URL           what links in e-mails begin with
    SUPERSET_SMTP_HOST, _PORT, _USER, _PASSWORD, _FROM, _STARTTLS, _SSL    how reports are sent
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, urlsplit

from celery.schedules import crontab
from flask import Flask
from jinja2 import ChoiceLoader, FileSystemLoader
from superset.config import TALISMAN_CONFIG as _DEFAULT_TALISMAN_CONFIG

HOUR, DAY = 3600, 86_400


def _secret(name: str) -> str:
    path = os.environ.get(f"{name}_FILE")
    return Path(path).read_text(encoding="utf-8").rstrip("\r\n") if path else os.environ.get(name, "")


def _with_password(url: str, password: str) -> str:
    if not password:
        return url
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user if at else ''}:{quote(password, safe='')}@{place}").geturl()


def _is_on(name: str, default: str = "false") -> bool:
    return os.environ.get(name, default).lower() in ("1", "true", "yes")


SECRET_KEY = _secret("SUPERSET_SECRET_KEY")
SQLALCHEMY_DATABASE_URI = _with_password(os.environ["SUPERSET_DATABASE_URL"], _secret("SUPERSET_DATABASE_PASSWORD"))

# Charts are kept for an hour: the marts change once a night, or when files arrive.
_REDIS = os.environ.get("SUPERSET_REDIS_URL") or ""
_REDIS = _REDIS and _with_password(_REDIS, _secret("SUPERSET_REDIS_PASSWORD")).rstrip("/")
_FOLDER = Path(os.environ.get("SUPERSET_FOLDER") or Path.home() / ".superset")


def _cache(name: str, seconds: int) -> dict[str, object]:
    if _REDIS:
        store: dict[str, object] = {"CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": f"{_REDIS}/1"}
    else:
        store = {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": str(_FOLDER / "cache" / name), "CACHE_THRESHOLD": 5000}
    return {**store, "CACHE_KEY_PREFIX": f"superset_{name}_", "CACHE_DEFAULT_TIMEOUT": seconds}


CACHE_CONFIG = _cache("metadata", HOUR)
DATA_CACHE_CONFIG = _cache("data", HOUR)
FILTER_STATE_CACHE_CONFIG = _cache("filter", 30 * DAY)
EXPLORE_FORM_DATA_CACHE_CONFIG = _cache("explore", 7 * DAY)


def _queue() -> tuple[str, dict[str, object]]:
    if _REDIS:
        return f"{_REDIS}/0", {}
    folders = {name: _FOLDER / "queue" / name for name in ("messages", "processed", "control")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    return "filesystem://", {
        "data_folder_in": str(folders["messages"]),
        "data_folder_out": str(folders["messages"]),
        "processed_folder": str(folders["processed"]),
        "control_folder": str(folders["control"]),
    }


class CELERY_CONFIG:  # noqa: N801 - Superset's name
    """The queue, and what beat sends out: each minute the reports that are due."""

    broker_url, broker_transport_options = _queue()
    result_backend = f"{_REDIS}/0" if _REDIS else None
    task_ignore_result = True
    imports = ("superset.sql_lab", "superset.tasks.scheduler", "superset.tasks.thumbnails", "superset.tasks.cache")
    worker_prefetch_multiplier = 1
    task_acks_late = bool(_REDIS)
    beat_schedule = {  # noqa: RUF012 - read, never changed
        "reports.scheduler": {"task": "reports.scheduler", "schedule": crontab(minute="*", hour="*")},
        "reports.prune_log": {"task": "reports.prune_log", "schedule": crontab(minute="0", hour="0")},
    }


FEATURE_FLAGS = {
    "ALERT_REPORTS": True,
    "ENABLE_TEMPLATE_PROCESSING": True,  # the timeline shows the newest batch of each equipment until some are chosen
    "PLAYWRIGHT_REPORTS_AND_THUMBNAILS": True,
}

# Reports: the worker opens the dashboard in a browser and sends what it sees.
ALERT_REPORTS_NOTIFICATION_DRY_RUN = False
WEBDRIVER_BASEURL = os.environ.get("SUPERSET_INTERNAL_URL", "http://127.0.0.1:8088").rstrip("/") + "/"
WEBDRIVER_BASEURL_USER_FRIENDLY = os.environ.get("SUPERSET_PUBLIC_URL", WEBDRIVER_BASEURL).rstrip("/") + "/"
WEBDRIVER_OPTION_ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
WEBDRIVER_WINDOW = {"dashboard": (1280, 2000), "slice": (1280, 800), "pixel_density": 1}
SCREENSHOT_PLAYWRIGHT_DEFAULT_TIMEOUT = 240_000  # ms; charts wait for each other on a machine that has much to do
SMTP_HOST = os.environ.get("SUPERSET_SMTP_HOST", "localhost")
SMTP_PORT = int(os.environ.get("SUPERSET_SMTP_PORT", "25"))
SMTP_USER = os.environ.get("SUPERSET_SMTP_USER", "")
SMTP_PASSWORD = _secret("SUPERSET_SMTP_PASSWORD")
SMTP_MAIL_FROM = os.environ.get("SUPERSET_SMTP_FROM", "superset@localhost")
SMTP_STARTTLS = _is_on("SUPERSET_SMTP_STARTTLS", "true")
SMTP_SSL = _is_on("SUPERSET_SMTP_SSL")
SMTP_SSL_SERVER_AUTH = True
EMAIL_REPORTS_SUBJECT_PREFIX = ""

# Okabe and Ito's colours, which people with any colour vision tell apart; their yellow is too pale for lines on white.
EXTRA_CATEGORICAL_COLOR_SCHEMES = [
    {
        "id": "bioreactor_lake",
        "label": "Okabe-Ito, safe for colour blindness",
        "description": "",
        "isDefault": True,
        "colors": ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D00"],
    }
]

# Sessions and pages. Without HTTPS in front, a cookie that is for HTTPS only would let nobody in.
_IS_HTTPS = WEBDRIVER_BASEURL_USER_FRIENDLY.startswith("https:")
ENABLE_PROXY_FIX = _IS_HTTPS
SESSION_COOKIE_SECURE = _IS_HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
TALISMAN_ENABLED = True


def _without_foreign_hosts(policy: dict[str, object]) -> dict[str, object]:
    """A policy without hosts of others: pages of the lake tell nobody else that they are looked at."""
    return {
        name: [one for one in allowed if "." not in one] if isinstance(allowed, list) else allowed
        for name, allowed in policy.items()
    }


TALISMAN_CONFIG = {
    **_DEFAULT_TALISMAN_CONFIG,
    "content_security_policy": _without_foreign_hosts(_DEFAULT_TALISMAN_CONFIG["content_security_policy"]),
    "session_cookie_secure": _IS_HTTPS,
}


def FLASK_APP_MUTATOR(app: Flask) -> None:  # noqa: N802 - Superset's name
    """Put this folder's templates before Superset's."""
    app.jinja_loader = ChoiceLoader([FileSystemLoader(Path(__file__).parent / "templates"), app.jinja_loader])
