"""Secrets are taken out of what errors say before it leaves the machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any
from urllib.parse import unquote, urlsplit

from bioreactor_lake.sql import storable

HIDDEN = "[hidden]"

_SECRET_NAME = re.compile(r"pass(word|wd)?$|secret|token|api_?key|credential|private", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)[^/\s@'\"]*:[^/\s'\"]*@")
_ASSIGNED = re.compile(r"(?i)\b(password|passwd|pwd|secret|token|api_?key)(\s*[=:]\s*)(['\"]?)[^\s'\"&,;)]+")
# Shorter ones would hide letters of plain words.
_SHORTEST = 3


def find_secrets(environ: Mapping[str, str], credentials: Any) -> set[str]:
    """Values that must not be told: those of credentials, of variables whose names say so, and passwords in URLs.

    Args:
        environ: Environment variables.
        credentials: Kedro's credentials, nested as they are.

    >>> sorted(find_secrets({"DB_PASSWORD": "hunter2", "HOME": "/root"}, {"pg": {"url": "postgresql://u:s3cret@h/d"}}))
    ['hunter2', 's3cret']
    """
    found = set()
    for name, value in [*environ.items(), *_named_texts(credentials)]:
        found |= _passwords(value) or ({value} if _SECRET_NAME.search(name) else set())
    return {value for value in found if len(value) >= _SHORTEST}


def redact(text: str, secrets: Iterable[str]) -> str:
    """A text without secrets: those that are known, and whatever stands where URLs and settings have theirs.

    >>> redact("could not reach postgresql://u:p@h/d?password=x with hunter2", {"hunter2"})
    'could not reach postgresql://[hidden]@h/d?password=[hidden] with [hidden]'
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _USER_INFO.sub(f"{HIDDEN}@", text)
    return _ASSIGNED.sub(rf"\1\2\3{HIDDEN}", text)


def redact_nested(nested: Any, secrets: Iterable[str], *, hide: bool = False) -> Any:
    """Configuration as JSON can hold it, without secrets: those that are known, and what is named like one.

    Args:
        nested: Mappings and lists of plain values; others are spelled as text.
        secrets: Values that must not be told.
        hide: Whether everything in it is a secret.

    >>> redact_nested({"api_key": 42, "limits": [0.2, "see postgresql://u:p@h/d"]}, set())
    {'api_key': '[hidden]', 'limits': [0.2, 'see postgresql://[hidden]@h/d']}
    """
    if isinstance(nested, Mapping):
        return {
            storable(redact(str(name), secrets)): redact_nested(
                value, secrets, hide=hide or bool(_SECRET_NAME.search(str(name)))
            )
            for name, value in nested.items()
        }
    if isinstance(nested, list | tuple):
        return [redact_nested(value, secrets, hide=hide) for value in nested]
    if nested is None or isinstance(nested, bool):
        return nested
    if hide:
        return HIDDEN
    text = storable(redact(str(nested), secrets))
    return nested if text == str(nested) and isinstance(nested, int | float) and isfinite(nested) else text


def _passwords(text: str) -> set[str]:
    """The password of a URL as it is spelled and as it is meant, and those among its options."""
    if "://" not in text:
        return set()
    try:
        parts = urlsplit(text)
    except ValueError:
        return set()
    found = {parts.password or ""}
    for option in parts.query.split("&"):
        name, _, value = option.partition("=")
        if _SECRET_NAME.search(name):
            found.add(value)
    return {one for value in found if value for one in (value, unquote(value))}


def _named_texts(nested: Any, name: str = "") -> Iterable[tuple[str, str]]:
    if isinstance(nested, str):
        yield name, nested
    elif isinstance(nested, Mapping):
        for key, value in nested.items():
            yield from _named_texts(value, str(key))
    elif isinstance(nested, list | tuple):
        for value in nested:
            yield from _named_texts(value, name)
