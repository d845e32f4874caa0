"""Somebody who looks at the marts all the while, from a process of his own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from tests.commands import PROCESSES

Content = frozenset[tuple[Any, ...]]
"""What `QUERIES` find of a batch: tag, smallest, mean and largest value, and the number of readings."""

QUERIES = {
    "mart_bioreactor_overview": "SELECT batch_id, tag, min_value, avg_value, max_value, reading_count "
    "FROM marts.mart_bioreactor_overview",
    "mart_bioreactor_timeline": "SELECT batch_id, tag, min(min_value), avg(avg_value), max(last_value), "
    "sum(reading_count)::bigint FROM marts.mart_bioreactor_timeline GROUP BY 1, 2",
}


@dataclass
class Sightings:
    """What was seen.

    Args:
        looks: How often somebody looked at a mart that was there.
        wrong: What cannot be, in words.
        counts: How many batches were seen at once, by mart, in order and each once.
    """

    looks: int = 0
    wrong: list[str] = field(default_factory=list)
    counts: dict[str, list[int]] = field(default_factory=lambda: {mart: [] for mart in QUERIES})


@contextmanager
def watching(url: str, good: Mapping[str, tuple[Content, ...]]) -> Iterator[Sightings]:
    """Look at both marts until the block ends; what was seen is known then.

    Args:
        url: The database.
        good: By batch, everything that may ever be seen of it.
    """
    mine, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=_watch, args=(url, dict(good), theirs), daemon=True)
    process.start()
    theirs.close()
    sightings = Sightings()
    try:
        yield sightings
    finally:
        with suppress(OSError):
            mine.send(None)
            assert mine.poll(60), "the reader does not answer"
            sightings.__dict__ |= mine.recv().__dict__
        process.join(60)


def _watch(url: str, good: dict[str, tuple[Content, ...]], told: Any) -> None:
    sightings = Sightings()
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            is_last = False
            while not is_last:
                is_last = told.poll(0.01)  # one look more
                for mart, query in QUERIES.items():
                    with suppress(psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                        _look(sightings, mart, connection.execute(query).fetchall(), good)
    except Exception as error:
        sightings.wrong.append(f"the reader was refused: {error!r}")
    told.send(sightings)


def _look(sightings: Sightings, mart: str, rows: list[Any], good: dict[str, tuple[Content, ...]]) -> None:
    sightings.looks += 1
    found: dict[str, set[Any]] = {}
    for batch, *row in rows:
        found.setdefault(batch, set()).add(tuple(round(one, 9) if isinstance(one, float) else one for one in row))
    counts = sightings.counts[mart]
    if not counts or counts[-1] != len(found):
        counts.append(len(found))
    for batch, content in found.items():
        if frozenset(content) not in good[batch] and len(sightings.wrong) < 10:
            sightings.wrong.append(f"{time.strftime('%X')} {mart}: {batch}: {sorted(content)}")
