# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Durations, quantities and sizes; what the script has of them too."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils.errors import ExpectationError
from plugins.module_utils.units import (
    CLOCK_TOLERANCE,
    canonical_quantity,
    duration_seconds,
    format_duration,
    format_part,
    parse_duration,
    parse_mode,
    parse_quantity,
    parse_size,
)

SCRIPT = Path(__file__).resolve().parents[4] / "roles" / "postgres_backup" / "files"
SUFFIXES = ["", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("90m", 5400), ("26h", 93600), ("7d", 604800), ("2w", 1209600), ("999999s", 999999)],
)
def test_duration_is_read_as_seconds(text: str, seconds: int) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize(
    "text", ["", "7", "d", "-1d", "1.5h", "0h", "1 h", "1000000s", "1y", "1h30m", "\u0661h", "08h", "1h\n"]
)
def test_invalid_duration_is_refused(text: str) -> None:
    with pytest.raises(ExpectationError, match="expected a duration such as 90m, 26h or 7d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (45, "45s"), (12_000, "3h 20m"), (93_600, "1d 2h"), (86_401, "1d 1s")]
)
def test_duration_is_shown_in_words(seconds: int, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@given(st.integers(1, 999_999), st.sampled_from("smhdw"))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert duration_seconds(f"{number}{unit}") == number * duration_seconds(f"1{unit}")


def test_clock_tolerance_is_the_scripts() -> None:
    shell = "\n".join(path.read_text() for path in SCRIPT.glob("*.sh"))
    (seconds,) = re.findall(r"^CLOCK_TOLERANCE_SECONDS=(\d+)$", shell, re.MULTILINE)
    assert int(seconds) == CLOCK_TOLERANCE.total_seconds()


CANONICAL = [
    ("10Gi", "10Gi"),
    ("10240Mi", "10Gi"),
    ("1024Gi", "1Ti"),
    ("0.5Gi", "512Mi"),
    ("1025Mi", "1025Mi"),
    ("0.001Ki", "2"),
    ("2.929Ki", "3k"),
    ("7Ei", "7Ei"),
    ("1.5m", "2m"),
    ("100m", "100m"),
    ("0.1", "100m"),
    ("1000m", "1"),
    (1, "1"),
    (2.5, "2500m"),
    ("1000", "1k"),
    ("1000000G", "1P"),
    ("1500", "1500"),
]


@pytest.mark.parametrize(("quantity", "canonical"), CANONICAL)
def test_quantities_are_written_as_the_api_server_writes_them(quantity: str | float, canonical: str) -> None:
    assert canonical_quantity(quantity) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0Gi",
        "0.000",
        "10GB",
        "10gi",
        "-1Gi",
        "ten",
        "10 Gi",
        "1.2345Gi",
        "1e3",
        "Gi",
        "1Mi\n",
        "1.",
        "8Ei",
        "1K",
    ],
)
def test_what_is_not_a_quantity_is_refused(text: str) -> None:
    with pytest.raises(ExpectationError, match="expected a quantity above 0, such as 100m or 10Gi"):
        parse_quantity(text)


quantities = st.builds(
    lambda number, decimals, suffix: f"{number}{'.' if decimals else ''}{decimals}{suffix}",
    st.integers(1, 8000),
    st.text("0123456789", max_size=3),
    st.sampled_from([suffix for suffix in SUFFIXES if suffix[:1] != "E"]),
)


@given(quantities)
def test_the_canonical_form_has_the_same_value(quantity: str) -> None:
    """With a suffix such as Gi, rounded up to a whole number of bytes."""
    canonical = canonical_quantity(quantity)
    if quantity.endswith("i"):
        assert parse_size(canonical) == parse_size(quantity)
    else:
        assert parse_quantity(canonical) == parse_quantity(quantity)


@given(quantities)
def test_the_canonical_form_is_short_and_stable(quantity: str) -> None:
    canonical = canonical_quantity(quantity)
    assert canonical_quantity(canonical) == canonical
    assert "." not in canonical


@pytest.mark.parametrize(
    ("size", "size_bytes"),
    [
        ("10Gi", 10 * 2**30),
        ("500M", 500_000_000),
        (1024, 1024),
        ("0.5Ki", 512),
        ("1.001", 2),
        ("9007199254740993", 2**53 + 1),
    ],
)
def test_sizes(size: str | int, size_bytes: int) -> None:
    assert parse_size(size) == size_bytes


@pytest.mark.parametrize("text", ["", "0", "10GB", "100m", "lots", "\u0661Gi"])
def test_what_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(ExpectationError, match="expected a size above 0, such as 10Gi or 500M, found"):
        parse_size(text)


@pytest.mark.parametrize(
    ("part", "total", "shown"),
    [
        (0, 10, ("0", "10 bytes")),
        (5, 1023, ("5", "1023 bytes")),
        (512, 2048, ("0.5", "2.0 KiB")),
        (3 << 30, 7 << 30, ("3.0", "7.0 GiB")),
        (320 << 20, 420 << 20, ("320", "420 MiB")),
    ],
)
def test_a_part_is_shown_in_the_unit_of_the_total(part: int, total: int, shown: tuple[str, str]) -> None:
    assert format_part(part, total) == shown


def test_permissions() -> None:
    assert parse_mode("0640") == 0o640
    # As YAML reads 0640 without quotes.
    for text in ("416", "u=rw", "0648", "00640", "1640", ""):
        with pytest.raises(ExpectationError, match=f"expected an octal number in quotes .*found '{text}'"):
            parse_mode(text)
