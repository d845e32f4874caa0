"""DuckDB's way to object stores: its extension httpfs, a secret that lives in memory, and what its errors mean."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb

from bioreactor_lake.errors import LakeError
from bioreactor_lake.lake.runs import retry_rule
from bioreactor_lake.sql import literal

_SETTINGS = {
    # One request out of thousands is sent again at once, or a table would be begun anew for it; the statement as a
    # whole is tried again by the rule of retries.
    "http_retry_wait_ms": "200",
    "http_retry_backoff": "3",
    "http_timeout": "30",
    # One of its two clients checks no certificate unless it is told to.
    "enable_server_cert_verification": "true",
    "enable_curl_server_cert_verification": "true",
}
# What a run has looked at once it need not ask for again: the last look at a file is another client's.
_REMEMBERING = {"enable_http_metadata_cache": "true", "parquet_metadata_cache": "true"}


def prepare(
    backend: Any,
    *,
    endpoint_url: str,
    region: str,
    path_style: bool,
    credentials: tuple[str, str, str | None] | None,
    authorities: str,
    remember: bool,
) -> None:
    """Enable a connection to read `s3://` addresses.

    Args:
        backend: The connection.
        endpoint_url: URL of the store.
        region: Its region.
        path_style: Whether the bucket stands in the path.
        credentials: Key, secret and session token; None where there are none.
        authorities: File of the authorities by which a certificate is checked.
        remember: Whether HTTP headers and Parquet footers are kept for the life of the connection.

    Raises:
        LakeError: The extension is not installed.
    """
    _load(backend)
    endpoint = urlsplit(endpoint_url)
    options = {
        "TYPE": "s3",
        "REGION": literal(region),
        "ENDPOINT": literal(endpoint.netloc + endpoint.path.rstrip("/")),
        "URL_STYLE": "'path'" if path_style else "'vhost'",
        "USE_SSL": str(endpoint.scheme == "https").lower(),
    }
    if credentials is not None:
        key, secret, token = credentials
        options |= {"KEY_ID": literal(key), "SECRET": literal(secret)}
        if token:
            options["SESSION_TOKEN"] = literal(token)
    listed = ", ".join(f"{name} {value}" for name, value in options.items())
    backend.raw_sql(f"CREATE OR REPLACE TEMPORARY SECRET raw_files ({listed})")
    settings = {
        "http_retries": str(retry_rule().attempts - 1),
        "ca_cert_file": literal(authorities),
        **_SETTINGS,
        **(_REMEMBERING if remember else {}),
    }
    for name, value in settings.items():
        backend.raw_sql(f"SET {name} = {value}")


def status_of(error: duckdb.Error) -> int | None:
    """The HTTP status that an error of DuckDB is about, or None."""
    status = getattr(error, "status_code", None)
    return int(status) if status else None


def is_passing_status(status: int) -> bool:
    """Whether an HTTP status is of a server that may answer otherwise in a moment."""
    return status in (408, 429) or status >= 500


def can_pass(error: BaseException) -> bool:
    """Whether what DuckDB says of the way to a file may be gone at the next attempt."""
    if not isinstance(error, duckdb.Error) or not is_about_the_network(error):
        return False
    status = status_of(error)
    return "ertificate" not in str(error) if status is None else is_passing_status(status)


def is_about_the_network(error: duckdb.Error) -> bool:
    """Whether it is not the file that is at fault but the way to it."""
    if isinstance(error, duckdb.HTTPException):
        return status_of(error) not in (403, 404, 412)
    return isinstance(error, duckdb.IOException) and " error for HTTP " in str(error)


def _load(backend: Any) -> None:
    spec = find_spec("duckdb_extension_httpfs")
    files = sorted(Path(spec.origin).parent.rglob("httpfs.duckdb_extension")) if spec and spec.origin else []
    try:
        backend.raw_sql(f"LOAD {literal(str(files[0]))}" if files else "LOAD httpfs")
    except duckdb.Error as error:
        raise LakeError(
            f"DuckDB cannot read object stores: {str(error).splitlines()[0]}",
            kept="Nothing was changed.",
            next_step="pip install 'bioreactor-lake[s3]': it brings the extension of this DuckDB's version.",
        ) from error
