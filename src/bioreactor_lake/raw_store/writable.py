"""A bucket in which objects are kept, and not only read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from bioreactor_lake.raw_store.bucket import Bucket
from bioreactor_lake.raw_store.refusals import can_pass, explain

from botocore.exceptions import BotoCoreError, ClientError  # isort: skip - Bucket says it where it is not installed

_CHUNK = 1 << 20
_GONE, _OTHER = 404, (409, 412)


class WritableBucket(Bucket):
    """The objects of a bucket below a prefix, which are read, kept and copied as they are."""

    def list_objects(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Paths under the root with what the listing says of them.

        Raises:
            LakeError: The bucket cannot be listed.
        """
        yield from ((path, item) for path, item in self._list() if not path.endswith("/"))

    def is_there(self, path: str) -> bool:
        """Whether there is an object."""
        return bool(self.current_keys([path]))

    def read(self, path: str) -> tuple[bytes, str] | None:
        """An object's bytes and its ETag; None where there is none."""

        def get(**asked: Any) -> tuple[bytes, str]:
            answer = self._client.get_object(**asked)
            return answer["Body"].read(), answer["ETag"]

        found = self._attempt(get, path, passes_over=(_GONE,))
        return None if found is None else (bytes(found[0]), str(found[1]))

    def fetch(self, path: str, etag: str, into: Path | None = None) -> str:
        """Read an object, and write it into a file.

        Args:
            path: Of the object.
            etag: What it has to be.
            into: The file; None for none.

        Returns:
            SHA-256 of its bytes.

        Raises:
            OSError: It is another by now, or gone; or the file cannot be written.
            LakeError: The store cannot be reached, or refuses.
        """

        def get(**asked: Any) -> str:
            digest = hashlib.sha256()
            body = self._client.get_object(IfMatch=f'"{etag}"', **asked)["Body"]
            with nullcontext() if into is None else into.open("wb") as file:
                while chunk := body.read(_CHUNK):
                    digest.update(chunk)
                    if file is not None:
                        file.write(chunk)
            return digest.hexdigest()

        found = self._attempt(get, path, passes_over=(_GONE, *_OTHER))
        if found is None:
            raise OSError("it was changed or deleted while it was read")
        return str(found)

    def put(self, path: str, content: bytes | Path, *, instead_of: str | None = None, new: bool = False) -> bool:
        """Keep bytes, or a file, as an object.

        Args:
            path: Of the object.
            content: The bytes, or the file that has them.
            instead_of: The ETag of the object that it follows; None for whichever is there.
            new: Whether there must be none.

        Returns:
            Whether it was kept; not, where another object is there than was said.

        Raises:
            LakeError: The store cannot be reached, or refuses.
        """
        condition = {"IfMatch": instead_of} if instead_of else {"IfNoneMatch": "*"} if new else {}

        def send(**asked: Any) -> bool:
            if isinstance(content, bytes):
                self._client.put_object(Body=content, **condition, **asked)
            else:
                with content.open("rb") as body:
                    self._client.put_object(Body=body, **condition, **asked)
            return True

        return self._attempt(send, path, passes_over=(_GONE, *_OTHER) if condition else ()) is True

    def copy(self, path: str, to: str) -> None:
        """Keep an object under another path as well.

        Raises:
            LakeError: The store cannot be reached, or refuses.
        """
        source = {"Bucket": self._bucket, "Key": self._prefix + path}
        self._attempt(lambda **asked: self._client.copy_object(CopySource=source, **asked), to)

    def delete(self, path: str) -> None:
        """Delete an object, if it is there.

        Raises:
            LakeError: The store cannot be reached, or refuses.
        """
        self._attempt(self._client.delete_object, path, passes_over=(_GONE,))

    def _attempt(self, request: Any, path: str, *, passes_over: tuple[int, ...] = ()) -> Any:
        try:
            return self._ask(request, Key=self._prefix + path)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            missing_bucket = error.response.get("Error", {}).get("Code") == "NoSuchBucket"
            if status in passes_over and not missing_bucket and not can_pass(error):
                return None
            raise explain(error, self.root, self._endpoint, self.variable) from error
        except BotoCoreError as error:
            raise explain(error, self.root, self._endpoint, self.variable) from error
