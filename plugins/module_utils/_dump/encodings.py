# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""PostgreSQL's names of encodings (src/common/encnames.c) and Python's names for them."""

from __future__ import annotations

import codecs
import re

_ALIASES = {
    "SHIFTJIS": "SJIS",
    "MSKANJI": "SJIS",
    "WIN932": "SJIS",
    "WINDOWS932": "SJIS",
    "WIN936": "GBK",
    "WINDOWS936": "GBK",
    "WIN949": "UHC",
    "WINDOWS949": "UHC",
    "WIN950": "BIG5",
    "WINDOWS950": "BIG5",
    "UNICODE": "UTF8",
}
_CODECS = {
    "UTF8": "utf-8",
    "SJIS": "cp932",
    "SHIFTJIS2004": "shift_jis_2004",
    "BIG5": "cp950",
    "GBK": "cp936",
    "UHC": "cp949",
    "JOHAB": "johab",
    "GB18030": "gb18030",
    "EUCJP": "euc_jp",
    "EUCJIS2004": "euc_jis_2004",
    "EUCCN": "gb2312",
    "EUCKR": "euc_kr",
    "KOI8R": "koi8_r",
    "KOI8U": "koi8_u",
    "WIN866": "cp866",
    "WIN874": "cp874",
    "LATIN1": "iso8859-1",
    "LATIN2": "iso8859-2",
    "LATIN3": "iso8859-3",
    "LATIN4": "iso8859-4",
    "LATIN5": "iso8859-9",
    "LATIN6": "iso8859-10",
    "LATIN7": "iso8859-13",
    "LATIN8": "iso8859-14",
    "LATIN9": "iso8859-15",
    "LATIN10": "iso8859-16",
    "ISO88595": "iso8859-5",
    "ISO88596": "iso8859-6",
    "ISO88597": "iso8859-7",
    "ISO88598": "iso8859-8",
}
_WINDOWS = re.compile(r"WIN(125[0-8])")


def canonical_encoding(name: str) -> str:
    """An encoding's name as PostgreSQL compares it: letters and digits, in capitals, aliases resolved."""
    plain = re.sub(r"[^A-Za-z0-9]", "", name).upper()
    return _ALIASES.get(plain, plain)


def codec_of(name: str) -> str:
    """Python's name for an encoding of PostgreSQL's; UTF-8 for those that Python lacks and for SQL_ASCII."""
    canonical = canonical_encoding(name)
    windows = _WINDOWS.fullmatch(canonical)
    codec = f"cp{windows[1]}" if windows else _CODECS.get(canonical, "utf-8")
    return codecs.lookup(codec).name


def decode(text: bytes, codec: str) -> str:
    r"""Text for people and for JSON; bytes that are not valid in the encoding are shown as \xNN."""
    return text.decode(codec, "backslashreplace")
