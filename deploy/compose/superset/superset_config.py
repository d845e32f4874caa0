"""Superset: metadata in Postgres, cache and Celery's queue in Redis, secrets from files."""

from pathlib import Path
from urllib.parse import quote

from celery.schedules import crontab


def _secret(name: str) -> str:
    return Path("/run/secrets", name).read_text().rstrip("\n")


_REDIS = f"redis://:{quote(_secret('redis_password'))}@redis:6379"

SECRET_KEY = _secret("superset_secret_key")
SQLALCHEMY_DATABASE_URI = f"postgresql+psycopg2://superset:{quote(_secret('superset_password'))}@postgres:5432/superset"


def _cache(prefix: str, seconds: int) -> dict[str, object]:
    return {
        "CACHE_TYPE": "RedisCache",
        "CACHE_REDIS_URL": f"{_REDIS}/1",
        "CACHE_KEY_PREFIX": f"superset_{prefix}_",
        "CACHE_DEFAULT_TIMEOUT": seconds,
    }


CACHE_CONFIG = _cache("metadata", 3600)
DATA_CACHE_CONFIG = _cache("data", 3600)
FILTER_STATE_CACHE_CONFIG = _cache("filter", 86_400)
EXPLORE_FORM_DATA_CACHE_CONFIG = _cache("explore", 86_400)


class CELERY_CONFIG:  # noqa: N801 - Superset's name
    """Celery's queue, and what beat sends out."""

    broker_url = f"{_REDIS}/0"
    result_backend = f"{_REDIS}/0"
    imports = ("superset.sql_lab", "superset.tasks.scheduler", "superset.tasks.thumbnails", "superset.tasks.cache")
    worker_prefetch_multiplier = 1
    task_acks_late = True
    beat_schedule = {  # noqa: RUF012 - read, never changed
        "reports.scheduler": {"task": "reports.scheduler", "schedule": crontab(minute="*", hour="*")},
        "reports.prune_log": {"task": "reports.prune_log", "schedule": crontab(minute="0", hour="0")},
    }


FEATURE_FLAGS = {"ALERT_REPORTS": True}
TALISMAN_ENABLED = True
SESSION_COOKIE_SAMESITE = "Lax"
