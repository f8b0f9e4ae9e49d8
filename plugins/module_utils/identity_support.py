# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The options identity and identity_file of the modules that decrypt a backup in the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._jobs.identity import Identity, identity_of_drills
from ._verify.identity_file import identity_keys, identity_text

# For the argument specification of a module, as the fragment identity documents them.
IDENTITY_ARGUMENTS: dict[str, dict[str, Any]] = {
    "identity": {"type": "str", "no_log": True},
    "identity_file": {"type": "path"},
}


def given_identity(parameters: Mapping[str, Any]) -> Identity | None:
    """That of the options; raises IdentityError."""
    text = identity_text(parameters["identity"], parameters["identity_file"])
    return None if text is None else Identity(text=text)


def given_public_keys(parameters: Mapping[str, Any]) -> list[str]:
    """Those that belong to the identity of the options; empty without one, and if one of them is not known."""
    return identity_keys(parameters["identity"], parameters["identity_file"])


def identity_for_drill(parameters: Mapping[str, Any], cronjob: Mapping[str, Any]) -> Identity | None:
    """That of the options, else the one that the installation has for its drills; raises IdentityError."""
    return given_identity(parameters) or identity_of_drills(cronjob)
