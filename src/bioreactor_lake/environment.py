"""What the process environment says, secrets in files included."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from pathlib import Path

from bioreactor_lake.errors import UsageError


def read_variable(name: str, default: str = "") -> str:
    """An environment variable, or the default where it is unset or empty."""
    return os.environ.get(name) or default


def find_user() -> str:
    """Who is at work, as the machine knows them; a number where no account has it, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid()) if hasattr(os, "getuid") else ""


def read_secret(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """A secret: the environment variable, or what the file holds that `<name>_FILE` names; empty where neither is set.

    Container platforms mount secrets as files, which no list of processes and no `inspect` shows. The line break that
    editors put at the end of a file is no part of it.

    Args:
        name: The variable, such as `BIOREACTOR_LAKE_POSTGRES_URL`.
        environ: The environment.

    Raises:
        UsageError: Both are set, or the file cannot be read or holds nothing.
    """
    value, variable = environ.get(name) or "", f"{name}_FILE"
    path = environ.get(variable)
    if not path:
        return value
    if value:
        raise UsageError(f"Both {name} and {variable} are set.", next_step="Unset one of them.")
    try:
        value = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise _unusable(variable, path, f"cannot be read: {error.strerror or type(error).__name__}") from error
    except ValueError:
        # The error would quote what is in the file.
        raise _unusable(variable, path, "is no text in UTF-8") from None
    if not value:
        raise _unusable(variable, path, "is empty")
    return value


def _unusable(variable: str, path: str, why: str) -> UsageError:
    return UsageError(
        f"{variable} names {path}, which {why}.",
        kept="Nothing was run.",
        next_step="Check the mount of the secret, and that the user of this process may read it.",
    )
