"""The addresses of channels, of which most parts are secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from bioreactor_lake.lineage.redaction import HIDDEN, redact

# Of these the host is where a server stands; of others it may be a token.
_WITH_HOSTS = ("json", "xml", "form", "mailto")
# Shorter ones would hide letters of plain words, and are no tokens.
_SHORTEST = 8


def secrets_of(url: str) -> set[str]:
    """The parts of a channel's URL that must not be told, as they are spelled and as they are meant.

    >>> sorted(secrets_of("slack://TokenA123/TokenB456/TokenC789"))[:3]
    ['TokenA123', 'TokenB456', 'TokenC789']
    """
    found = {url}
    try:
        parts = urlsplit(url)
    except ValueError:
        return found
    pieces = [*parts.path.split("/"), *(option.partition("=")[2] for option in parts.query.split("&"))]
    if parts.scheme.lower().rstrip("s") not in _WITH_HOSTS:
        # As it is spelled: `hostname` would be in small letters.
        pieces.append(parts.netloc.rpartition("@")[2].partition(":")[0])
    found |= {piece for piece in pieces if len(piece) >= _SHORTEST}
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    found |= {user} if len(user) >= _SHORTEST else set()
    found |= {password} if len(password) >= 3 else set()
    return found | {unquote(piece) for piece in found}


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The first line of a text in which nothing is left of addresses, cut where it is long.

    >>> without_secrets("no answer from json://u:hunter2@h/hook  and  more", {"hunter2"})
    'no answer from json://[hidden]@h/hook and more'
    """
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return re.sub(r"\s+", " ", redact(line, secrets))[:200]


__all__ = ["HIDDEN", "secrets_of", "without_secrets"]
