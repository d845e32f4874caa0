"""Raw files as objects of a bucket: one listing tells all that is to be known of them without opening any."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

from bioreactor_lake.errors import LakeError, UsageError
from bioreactor_lake.lake.runs import retry_rule
from bioreactor_lake.raw_store import httpfs
from bioreactor_lake.raw_store.files import FoundFile, RawConfig, is_raw_file

try:
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.httpsession import get_cert_path
except ImportError as error:
    raise LakeError(
        "What reads object stores is not installed.",
        kept="Nothing was changed.",
        next_step="pip install 'bioreactor-lake[s3]', or: pip install --require-hashes -r requirements.lock",
    ) from error

from bioreactor_lake.raw_store.refusals import can_pass, explain

# Up to here objects are asked for one by one; a listing brings a thousand at once.
_FEW = 20


class Bucket:
    """The objects of a bucket below a prefix.

    An object's content is known by its ETag, so that an unchanged one is never opened.

    Args:
        config: Where the bucket is and who asks for it.
        variable: That says where it is.

    Raises:
        UsageError: The URL names no bucket.
    """

    def __init__(self, config: RawConfig, variable: str = "BIOREACTOR_LAKE_RAW") -> None:
        self.variable = variable
        found = re.fullmatch(r"s3://([^/]+)/?(.*?)/*", config["path"])
        if found is None:
            raise UsageError(f"{config['path']!r} names no bucket.", next_step=f"Set {variable} to s3://bucket/prefix.")
        self._bucket, prefix = found.groups()
        self._prefix = f"{prefix}/" if prefix else ""
        self.root = f"s3://{self._bucket}/{prefix}".rstrip("/")
        self._session, self._client = _connect(config)
        self._authorities = config.get("ca_bundle") or self._session.get_config_variable("ca_bundle")
        if self._authorities and not Path(self._authorities).is_file():
            raise UsageError(
                f"There is no file {self._authorities}, by which the object store's certificate would be checked.",
                kept="Nothing was changed.",
                next_step="Correct AWS_CA_BUNDLE, or warehouse.raw.ca_bundle in conf/*/globals.yml.",
            )

    def find_files(self, ignore: Sequence[str] = ()) -> list[FoundFile]:
        """As `RawStore.find_files`."""
        return sorted(
            (
                self._found(path, item)
                for path, item in self._list()
                # Consoles mark folders by an empty object.
                if not path.endswith("/") and is_raw_file(path, ignore)
            ),
            key=lambda file: file.path,
        )

    def hash_content(self, file: FoundFile) -> str:
        """The object's ETag."""
        return file.key.partition("-")[2]

    def current_keys(self, paths: Sequence[str]) -> dict[str, str]:
        """As `RawStore.current_keys`."""
        if len(paths) > _FEW:
            wanted = set(paths)
            return {path: _key(item["Size"], item["ETag"]) for path, item in self._list() if path in wanted}
        keys = {}
        for path in paths:
            try:
                head = self._ask(self._client.head_object, Key=self._prefix + path)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    continue
                raise explain(error, self.root, self._endpoint, self.variable) from error
            except BotoCoreError as error:
                raise explain(error, self.root, self._endpoint, self.variable) from error
            keys[path] = _key(head["ContentLength"], head["ETag"])
        return keys

    def read_start(self, file: FoundFile, length: int) -> bytes:
        """As `RawStore.read_start`."""
        if not file.size_bytes:
            return b""
        try:
            return bytes(self._ask(self._read, Key=self._prefix + file.path, Range=f"bytes=0-{length - 1}"))
        except (ClientError, BotoCoreError) as error:
            if can_pass(error):
                # The file is not to blame for it.
                raise explain(error, self.root, self._endpoint, self.variable) from error
            raise OSError(str(error)) from error

    def is_unfinished(self, path: str, patience_seconds: float) -> bool:
        """False: an object is there when it is whole."""
        return False

    def prepare(self, backend: Any, *, remember: bool) -> None:
        """Load DuckDB's httpfs and let it in as this client is."""
        with self._explained():
            credentials = self._session.get_credentials()
        frozen = None if credentials is None else credentials.get_frozen_credentials()
        httpfs.prepare(
            backend,
            endpoint_url=self._endpoint,
            region=self._client.meta.region_name,
            path_style=self._client.meta.config.s3["addressing_style"] == "path",
            credentials=None if frozen is None else (frozen.access_key, frozen.secret_key, frozen.token),
            authorities=self._authorities or get_cert_path(True),
            remember=remember,
        )

    @property
    def _endpoint(self) -> str:
        return str(self._client.meta.endpoint_url)

    def _list(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Paths under the root with what the listing says of them."""
        with self._explained():
            place: dict[str, str] = {}
            while True:
                page = self._ask(self._client.list_objects_v2, Prefix=self._prefix, **place)
                for item in page.get("Contents", ()):
                    yield item["Key"].removeprefix(self._prefix), item
                if not page.get("IsTruncated"):
                    return
                place = {"ContinuationToken": page["NextContinuationToken"]}

    def _read(self, **asked: str) -> bytes:
        return bytes(self._client.get_object(**asked)["Body"].read())

    def _ask(self, request: Callable[..., Any], **asked: str) -> Any:
        """Send a request, and again where its failure can pass; botocore does not by itself."""
        return retry_rule().carry_out(
            lambda: request(Bucket=self._bucket, **asked),
            what=f"Asking the object store at {self._endpoint}",
            can_pass=can_pass,
        )

    def _found(self, path: str, item: Mapping[str, Any]) -> FoundFile:
        return FoundFile(
            path=path,
            location=f"{self.root}/{path}",
            key=_key(item["Size"], item["ETag"]),
            size_bytes=item["Size"],
            modified_at=item["LastModified"].astimezone(UTC).replace(tzinfo=None),
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise explain(error, self.root, self._endpoint, self.variable) from error


def _connect(config: RawConfig) -> tuple[Any, Any]:
    given = {name: value for name, value in (config.get("credentials") or {}).items() if value}
    session = botocore.session.get_session()
    if given:
        missing = [name for name in ("key", "secret") if name not in given]
        if missing:
            raise UsageError(
                f"The credentials of the raw files lack {' and '.join(missing)}.",
                next_step="Give both in conf/local/credentials.yml under `raw`, or none to use the AWS chain.",
            )
        session.set_credentials(given["key"], given["secret"], given.get("token"))
    style = config.get("path_style")
    options = {"retries": {"total_max_attempts": 1}, "connect_timeout": 5, "read_timeout": 30}
    settings = {
        "region_name": config.get("region") or None,
        "endpoint_url": config.get("endpoint_url") or None,
        "verify": config.get("ca_bundle") or None,
    }
    try:
        client = session.create_client("s3", config=Config(**options), **settings)
        if style is None:
            style = not str(client.meta.endpoint_url).endswith((".amazonaws.com", ".amazonaws.com.cn"))
        addressing = Config(**options, s3={"addressing_style": "path" if style else "virtual"})
        return session, session.create_client("s3", config=addressing, **settings)
    except (BotoCoreError, ValueError) as error:
        raise explain(error, config["path"], str(config.get("endpoint_url") or "")) from error


def _key(size: int, etag: str) -> str:
    return f"{size}-{etag.strip(chr(34))}"
