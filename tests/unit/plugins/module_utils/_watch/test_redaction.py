# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""No part of a secret remains in a text."""

from __future__ import annotations

import pytest

from plugins.module_utils._watch.redaction import redacted

URL = "https://user1:pass%2Fword@ntfy.home.example:8443/a-topic/v1?auth=tk_1234567&x=1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"cannot open {URL}", "cannot open ***"),
        ("cannot reach ntfy.home.example", "cannot reach ***"),
        ("no topic a-topic here", "no topic *** here"),
        ("tk_1234567 is not valid", "*** is not valid"),
        ("the password pass/word is wrong, and pass%2Fword too", "the password *** is wrong, and *** too"),
        ("v1 is fine, x is 1", "v1 is fine, x is 1"),
        ("first line second-line", "*** ***"),
    ],
)
def test_redacted(text: str, expected: str) -> None:
    assert redacted(text, [URL, "first line\nsecond-line\n", ""]) == expected


def test_a_text_without_secrets_stays() -> None:
    assert redacted("Connection refused", []) == "Connection refused"
    assert redacted("Connection refused", ["http://[broken"]) == "Connection refused"
