# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Durations as users write them, quantities and sizes as Kubernetes writes them, sizes for people."""

from __future__ import annotations

import re
from datetime import timedelta

from .errors import ExpectationError

# How far two clocks may differ, and how far ahead a backup may be dated; the script has the same.
CLOCK_TOLERANCE = timedelta(minutes=5)

_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

# k8s.io/apimachinery/pkg/api/resource, Quantity; without exponents, and without n and u, which nobody needs here.
_QUANTITY = re.compile(r"(?P<integer>[0-9]{1,30})(\.(?P<decimals>[0-9]{1,3}))?(?P<suffix>[mkMGTPE]|[KMGTPE]i)?")
_DECIMAL_SUFFIXES = ("m", "", "k", "M", "G", "T", "P", "E")
_BINARY_SUFFIXES = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
# In thousandths.
_UNITS = {
    **{suffix: 1000**power for power, suffix in enumerate(_DECIMAL_SUFFIXES)},
    **{suffix: 1000 * 1024**power for power, suffix in enumerate(_BINARY_SUFFIXES)},
}
_SIZE_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_QUANTITY_MAX = 1000 * (2**63 - 1)


def parse_duration(text: str) -> timedelta:
    """A duration: one whole number of at most six digits and one unit of s m h d w, as in `26h`.

    Raises ExpectationError for anything else, as the script does.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ExpectationError(
            "expected a duration such as 90m, 26h or 7d (one whole number above 0 of at most six digits, "
            f"one unit of s m h d w), found '{text}'"
        )
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])


def parse_mode(text: str) -> int:
    """Permissions of a file, as an octal number of four digits; raises ExpectationError."""
    # YAML reads 0640 without quotes as 416: only a leading zero shows that the text is octal.
    if len(text) != 4 or text[0] != "0" or not set(text) <= set("01234567"):
        raise ExpectationError(f"mode: expected an octal number in quotes such as '0640', found '{text}'")
    return int(text, 8)


def format_duration(duration: timedelta) -> str:
    """A duration for people, to two units: `1d 2h`, `3h 20m`, `45s`."""
    left = int(duration.total_seconds())
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        number, left = divmod(left, _SECONDS[unit])
        if number or (unit == "s" and not parts):
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2])


def format_size(number: int) -> str:
    """A number of bytes for people, in binary units: `512 bytes`, `3.1 GiB`, `118 MiB`."""
    power = _power(number)
    return f"{_scaled(number, power)} {_SIZE_UNITS[power]}"


def format_part(part: int, total: int) -> tuple[str, str]:
    """A part of a number of bytes, in the unit of the total, and the total: `("3.1", "7.4 GiB")`."""
    return _scaled(part, _power(total)), format_size(total)


def _power(number: int) -> int:
    """That of 1024 in which a number of bytes is shown."""
    power = 0
    while abs(number) >= 1023.5 * 1024**power and power + 1 < len(_SIZE_UNITS):
        power += 1
    return power


def _scaled(number: int, power: int) -> str:
    value = number / 1024**power
    return f"{value:.{1 if power and abs(value) < 99.95 else 0}f}"


def duration_seconds(duration: str) -> int:
    """The seconds of a duration such as `26h`; raises ExpectationError."""
    return int(parse_duration(str(duration)).total_seconds())


def parse_quantity(quantity: str | float) -> int:
    """Thousandths, rounded up, of a Kubernetes quantity above 0, such as `100m`, `1.5` or `10Gi`.

    Raises ExpectationError. A number is a quantity too, since YAML makes one of `1` and `1.5`.
    """
    match = _QUANTITY.fullmatch(str(quantity))
    number = int(f"{match['integer']}{match['decimals'] or '':0<3}") if match else 0
    value = _divide_up(number * _UNITS[match["suffix"] or ""], 1000) if match else 0
    if not 0 < value <= _QUANTITY_MAX:
        raise ExpectationError(f"expected a quantity above 0, such as 100m or 10Gi, found '{quantity}'")
    return value


def canonical_quantity(quantity: str | float) -> str:
    """The quantity as the API server writes it: `10240Mi` is `10Gi` there, `0.1` is `100m`. Raises ExpectationError.

    That is a whole number with the largest suffix of its kind, rounded up: to a thousandth, or with a suffix such as Gi
    to a whole number of units. An object that is sent in another form would always be reported as changed.
    """
    thousandths = parse_quantity(quantity)
    if str(quantity).endswith("i"):
        canonical = _with_largest_suffix(_divide_up(thousandths, 1000), 1024, _BINARY_SUFFIXES)
        if not canonical.isdigit():
            return canonical
        # Without a suffix it is a decimal quantity to the API server: 2000 is 2k.
        thousandths = int(canonical) * 1000
    return _with_largest_suffix(thousandths, 1000, _DECIMAL_SUFFIXES)


def _with_largest_suffix(number: int, base: int, suffixes: tuple[str, ...]) -> str:
    """The number of units of the first suffix as a whole number of units of the largest possible one."""
    power = 0
    while number % base == 0 and power + 1 < len(suffixes):
        number, power = number // base, power + 1
    return f"{number}{suffixes[power]}"


def parse_size(size: str | int) -> int:
    """Bytes, rounded up, of a Kubernetes quantity such as `10Gi` or `500M`; raises ExpectationError."""
    try:
        value = parse_quantity(size)
    except ExpectationError:
        value = 0
    if value == 0 or str(size).endswith("m"):
        raise ExpectationError(f"expected a size above 0, such as 10Gi or 500M, found '{size}'")
    return _divide_up(value, 1000)


def _divide_up(number: int, by: int) -> int:
    return -(-number // by)
