# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The kinds of host keys that an SFTP server is asked for. test_sftp has a server with a key that is not known."""

from __future__ import annotations

import pytest

from plugins.module_utils._copy.known_hosts import host_key_algorithms

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK5LB0xRhEMuemebGoOEmPPSWeTwOEiYgPu9Yd7JA2SV"
# By ssh-keygen -H, of nas.example.com with the port 22, and with the port 2222.
HASHED = f"|1|Pm+56s3MPsqgNo14qRa76ZcaoEE=|2owIQSgKh8Tbk4nNHSjolezw4jE= {KEY}\n"
HASHED_WITH_PORT = f"|1|spfu80sV+VMBxfGiJz5GzBwiotY=|6ijH8aoYrCxKEnHyCiMJOIBiojI= {KEY}\n"
RSA = ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]


@pytest.mark.parametrize(
    ("known_hosts", "host", "port", "expected"),
    [
        (f"nas {KEY}\n", "nas", 22, ["ssh-ed25519"]),
        (f"nas {KEY}\n", "NAS", 22, ["ssh-ed25519"]),
        (f"nas {KEY}\n", "nas", 2222, []),
        (f"nas {KEY}\n", "other", 22, []),
        (f"nas,192.168.2.3 {KEY} a comment", "192.168.2.3", 22, ["ssh-ed25519"]),
        (f"[nas]:2222 {KEY}\r\n", "nas", 2222, ["ssh-ed25519"]),
        (f"2001:db8::1 {KEY}\n", "[2001:db8::1]", 22, ["ssh-ed25519"]),
        (f"*.example.com {KEY}\n", "nas.example.com", 22, ["ssh-ed25519"]),
        (HASHED, "nas.example.com", 22, ["ssh-ed25519"]),
        (HASHED, "nas.example.com", 2222, []),
        (HASHED_WITH_PORT, "nas.example.com", 2222, ["ssh-ed25519"]),
        (f"|1|no {KEY}\n|1|x|y {KEY}\n|1|a|b|c {KEY}\n", "nas", 22, []),
        ("nas ssh-rsa AAAA\n", "nas", 22, RSA),
        (f"# nas:22 SSH-2.0\n\nother ssh-dss AAAA\nnas ssh-rsa AAAA\nnas {KEY}\n", "nas", 22, [*RSA, "ssh-ed25519"]),
        (f"@revoked nas ssh-rsa AAAA\nnas {KEY}\n", "nas", 22, ["ssh-ed25519"]),
        (f"nas {KEY}\n@cert-authority * ssh-rsa AAAA\n", "nas", 22, []),
        ("nas\n@revoked\n", "nas", 22, []),
    ],
)
def test_algorithms(known_hosts: str, host: str, port: int, expected: list[str]) -> None:
    assert host_key_algorithms(known_hosts, host, port) == expected
