"""What a process keeps between its runs, where it is one that stays.

A command makes one run and ends: what it computes is computed once anyhow, and nothing is kept. `kedro lake watch`
makes runs for weeks, and most of what a run with one new batch computes is what the run before has computed already.
Only what follows from its key alone is kept, so nothing can be out of date.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Kept = TypeVar("Kept")

# A run needs some hundred; what was not needed for the longest time goes first.
_MOST = 2_000
_kept: OrderedDict[Hashable, Any] | None = None


def stay() -> None:
    """Keep things from now on: this process will make many runs."""
    global _kept
    if _kept is None:
        _kept = OrderedDict()


def stays() -> bool:
    """Whether this process keeps things."""
    return _kept is not None


def kept(key: Hashable, compute: Callable[[], Kept]) -> Kept:
    """What was computed under a key, or is now.

    Args:
        key: All that the result depends on.
        compute: Makes the result, which nobody may change.
    """
    if _kept is None:
        return compute()
    if key in _kept:
        _kept.move_to_end(key)
        found: Kept = _kept[key]
        return found
    made = _kept[key] = compute()
    while len(_kept) > _MOST:
        _kept.popitem(last=False)
    return made
