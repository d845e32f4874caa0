"""What must not be told of the credentials of a source."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from bioreactor_lake.lineage.redaction import find_secrets

_SHORTEST = 3


def secrets_of(credentials: Mapping[str, Any]) -> set[str]:
    """All secrets: those of the environment, and every part of the credentials but names of users.

    Basic authentication sends user and password as one word, which is one as well.
    """
    own = {str(value) for name, value in credentials.items() if value and name not in ("username", "user")}
    pair = f"{credentials.get('username', '')}:{credentials.get('password', '')}"
    own.add(b64encode(pair.encode()).decode())
    return find_secrets(os.environ, credentials) | {secret for secret in own if len(secret) >= _SHORTEST}
