"""What a run has read of its warehouse and nobody else can change: asked once, and again after it was written.

A run holds the file alone, and asks small questions of the lake's state again and again: each takes DuckDB a
millisecond or more, and together they took as long as the rows of a new batch. Outside of a run nothing is kept.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeVar

from bioreactor_lake.lake.runs import current_run

Answer = TypeVar("Answer")

# The run and the connection that it was read in. Ibis calls two connections to one file equal, so it is the object.
_known: tuple[str, weakref.ref[Any], dict[tuple[str, ...], Any]] | None = None


def known(backend: Any, question: tuple[str, ...], ask: Callable[[], Answer]) -> Answer:
    """The answer to a question about the warehouse, as this run knows it.

    Args:
        backend: The warehouse.
        question: Names it; the first word is what `forget` knows it by.
        ask: Asks the warehouse.
    """
    global _known
    run = current_run()
    if run is None:
        return ask()
    if _known is None or _known[0] != run.run_id or _known[1]() is not backend:
        _known = run.run_id, weakref.ref(backend), {}
    answers = _known[2]
    if question not in answers:
        answer = ask()
        # What was asked may have written, and forgotten.
        answers[question] = answer
    found: Answer = answers[question]
    return found


def forget(*subjects: str) -> None:
    """Ask again the next time: it was written, or a transaction rolled back.

    Args:
        subjects: First words of questions; none for all.
    """
    if _known is not None:
        for question in [one for one in _known[2] if not subjects or one[0] in subjects]:
            del _known[2][question]
