"""Times and numbers that files hold as text: each is read as what it says, or kept as text; never as something else."""

from __future__ import annotations

import itertools
import math
import re
from datetime import datetime

import pytest
from reference import at
from staged import interpreted

from bioreactor_lake.pipelines.ingestion.reading_rules import ReadingRules

# A declared zone shows whether a text was taken for a time without one.
BERLIN = ReadingRules({}, time_zone="Europe/Berlin")
TEN = at(2025, 6, 1, 10)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
SPACES = " \t\n\r\v\f"


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2025-06-01T10:00:00Z", TEN),
        ("2025-06-01T10:00Z", TEN),
        ("2025-06-01T12:00+02:00", TEN),
        ("2025-06-01 12:00:00+02", TEN),
        ("2025-06-01T12:00:00.000+0200", TEN),
        ("2025-06-01 04:30:00.000000-05:30", TEN),
        ("2025-06-01 12:00:00", TEN),
        ("2025-06-01T12:00", TEN),
        ("2025-06-01", at(2025, 5, 31, 22)),
        ("2025-06-01T10:00:00,25Z", at(2025, 6, 1, 10, 0, 0, 250000)),
        ("2025-06-01T10:00:00.123456789Z", at(2025, 6, 1, 10, 0, 0, 123456)),
        (" 2025-06-01T10:00:00Z\r\n", TEN),
        ("2025-06-01T12:00:00\n", TEN),
        ("2025-06-01T10:00:00Z\0\0", TEN),
    ],
)
def test_a_text_time_is_read_as_what_it_says(text: str, utc: datetime) -> None:
    (row,) = interpreted(BERLIN, ts=[text])
    assert row["ts"] == utc


@pytest.mark.parametrize(
    "text",
    ["2025-06-01 10:00:00 UTC", "2025-06-01 10:00:00 utc", "2025-06-01 10:00:00 Z", "2025-06-01 12:00:00 +02:00"],
)
def test_a_zone_after_a_blank_is_read_or_refused_but_never_passed_over(text: str) -> None:
    (row,) = interpreted(BERLIN, ts=[text])
    assert row["ts"] in (TEN, None)


@pytest.mark.parametrize(
    "text",
    [
        "2025-06-01 10:00:00+01:00:30", "2025-06-01 10:00:00 CET", "2025-06-01 10:00:00 America/New_York",
        "2025-06-01T10:00:00+02:00[Europe/Berlin]", "2025-06-01 10:00:00 PM", "2025-06-01T25:00:00", "2025-02-29",
        "01/06/2025 10:00", "06.01.2025", "20250601T100000Z", "1748779200", "now", "infinity", "epoch", "10:00:00",
        "2025-06-01 10:00:00 BC", "2025-06-01T10:00:00+99",
    ],
)  # fmt: skip
def test_a_text_that_is_no_plain_iso_time_is_refused(text: str) -> None:
    (row,) = interpreted(BERLIN, ts=[text])
    assert row["ts"] is None
    assert row["reason"] == "ts does not read as a time between the years 1 and 9999"
    assert row["ts_text"] == text


@pytest.mark.parametrize("text", ["+-5", "--5", "-+5", "1__0", "1 0", "1e", "e5", ".", "-", "0b1", "5f", "nan", "TRUE"])
def test_a_text_that_is_no_number_is_kept_as_text(text: str) -> None:
    (row,) = interpreted(BERLIN, value=[text])
    assert (row["value"], row["value_text"]) == (None, text)


@pytest.mark.parametrize("text", ["12.5", " 12.5 ", "12.5\0\0", "\x0012.5", "\t12.5\r\n"])
def test_padding_does_not_keep_a_number_from_being_one(text: str) -> None:
    (row,) = interpreted(BERLIN, value=[text])
    assert (row["value"], row["value_text"]) == (12.5, None)


FRAGMENTS = ("", "+", "-", "0", "12", ".", "e", "E", "_", ",", " ", "\t", "\0", "inf", "µ", "1e308")


def test_any_text_is_a_number_or_itself() -> None:
    texts = ["".join(parts) for parts in itertools.product(FRAGMENTS, repeat=4)]
    wrong = []
    for text, row in zip(texts, interpreted(BERLIN, value=texts), strict=True):
        plain = text.replace("\0", "").strip(SPACES)
        number = float(plain) if NUMBER.fullmatch(plain) else math.inf
        expected = (number, None) if math.isfinite(number) else (None, plain or None)
        if (row["value"], row["value_text"]) != expected:
            wrong.append((text, row["value"], row["value_text"]))
    assert not wrong, f"{len(wrong)} of {len(texts)}, such as {wrong[:10]}"
