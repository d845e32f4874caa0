"""What has changed among the raw files since it was last looked at, and which of them are not whole yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bioreactor_lake.raw_store import RawStore
from bioreactor_lake.raw_store.files import is_raw_file


class Arrivals:
    """Keeps how each raw file was when it was last looked at.

    Args:
        store: Where they lie.
        ignore: Name patterns of files that are no raw files.
        patience_seconds: How long after its last write a file that is not whole is waited for.
    """

    def __init__(self, store: RawStore, ignore: Sequence[str], patience_seconds: float) -> None:
        self._store, self._ignore, self._patience = store, ignore, patience_seconds
        self._keys: dict[str, str] = {}
        self.unfinished: set[str] = set()

    def look(self) -> bool:
        """List all files; whether a run should see what has changed.

        Raises:
            LakeError: They cannot be listed.
        """
        found = {file.path: file.key for file in self._store.find_files(self._ignore)}
        changed = {path for path, key in found.items() if self._keys.get(path) != key}
        gone = self._keys.keys() - found.keys()
        self._keys = found
        self.unfinished &= found.keys()
        # One that was not whole and is gone was never seen by a run, which then finds nothing new.
        return bool(self._finished(changed)) or bool(gone)

    def look_at(self, paths: Iterable[str]) -> bool:
        """Look at some paths under the root, of which something was heard; whether a run should see it.

        Raises:
            LakeError: They cannot be listed.
        """
        paths = list(dict.fromkeys(paths))
        files = [path for path in paths if is_raw_file(path, self._ignore)]
        found = self._store.current_keys(files)
        changed = {path for path in files if self._keys.get(path) != found.get(path)}
        for path in changed:
            if path in found:
                self._keys[path] = found[path]
            else:
                self._keys.pop(path, None)
                self.unfinished.discard(path)
        return bool(self._finished(changed & found.keys()) or changed - found.keys())

    def look_at_unfinished(self) -> bool:
        """Look at the files again that were not whole; whether a run should see one of them.

        Raises:
            LakeError: They cannot be listed.
        """
        if not self.unfinished:
            return False
        found = self._store.current_keys(sorted(self.unfinished))
        self.unfinished &= found.keys()
        self._keys |= found
        return bool(self._finished(found))

    def _finished(self, paths: Iterable[str]) -> set[str]:
        """Those of the files that are whole, or will not be; the others are waited for."""
        finished = set()
        for path in paths:
            if self._store.is_unfinished(path, self._patience):
                self.unfinished.add(path)
            else:
                finished.add(path)
                self.unfinished.discard(path)
        return finished
