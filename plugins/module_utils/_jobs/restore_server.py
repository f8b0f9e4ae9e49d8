# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Into which server a restore restores, and as whom: the options restore_host to restore_secret_key of the restores.

Without restore_host it is the server of the backups. With it, the user and the Secret never come from the CronJob:
those are for another server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ExpectationError
from .credentials import Credentials, restore_credentials
from .job_templates import PREFIX, Object

# For the argument specification of a module, as the fragment restore_server documents them.
RESTORE_SERVER_ARGUMENTS: dict[str, dict[str, Any]] = {
    "restore_host": {"type": "str"},
    "restore_port": {"type": "int"},
    "restore_sslmode": {
        "type": "str",
        "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
    },
    "restore_user": {"type": "str"},
    # The names are not secret.
    "restore_secret_name": {"type": "str", "no_log": False},
    "restore_secret_key": {"type": "str", "no_log": False},
}
_CREDENTIALS = ("user", "secret_name", "secret_key")
_DEFAULT_PORT = 5432
# The database that a restore connects to, apart from the restored one: each server has it, unless it was dropped.
_MAINTENANCE = "postgres"


@dataclass(frozen=True)
class RestoreServer:
    """Who connects to which server; `host` is None for that of the backups."""

    credentials: Credentials | None
    host: str | None = None
    port: int = _DEFAULT_PORT
    sslmode: str | None = None

    @property
    def address(self) -> str | None:
        """The host and the port of another server; None for that of the backups."""
        if self.host is None:
            return None
        bare = self.host.strip("[]")
        return f"[{bare}]:{self.port}" if ":" in bare else f"{self.host}:{self.port}"

    def environment(self) -> dict[str, Object]:
        """The variables of a container, which replace the CronJob's; the password is only referred to."""
        environment = self.credentials.environment() if self.credentials else {}
        if self.host is None:
            return environment
        server = {
            "HOST": self.host,
            "PORT": str(self.port),
            "DATABASE": _MAINTENANCE,
            **({"SSLMODE": self.sslmode} if self.sslmode else {}),
            # The client certificate is for the server of the backups.
            "SSLCERT": "",
            "SSLKEY": "",
        }
        # Kubernetes reads $(NAME) and $$ in the value of a variable (Container v1 core, env.value).
        environment |= {f"{PREFIX}{name}": {"value": text.replace("$", "$$")} for name, text in server.items()}
        # libpq would connect to this address, whatever the host.
        return environment | {"PGHOSTADDR": {"value": ""}}


# As the CronJob's environment has it.
SERVER_OF_BACKUPS = RestoreServer(None)


def restore_server(cronjob: Mapping[str, Any], parameters: Mapping[str, Any]) -> RestoreServer:
    """That of a module's parameters, which have the options of RESTORE_SERVER_ARGUMENTS, each may be None.

    Raises ExpectationError, which names the option, and TemplateError as restore_credentials does.
    """
    host, port, sslmode = parameters["restore_host"] or None, parameters["restore_port"], parameters["restore_sslmode"]
    options = {name: parameters[f"restore_{name}"] for name in _CREDENTIALS}
    if host is None:
        for name in ("port", "sslmode"):
            if parameters[f"restore_{name}"] not in (None, ""):
                raise ExpectationError(
                    f"restore_{name}: expected restore_host with it, found none. Set restore_host, or leave it out"
                )
        return RestoreServer(restore_credentials(cronjob, options))
    missing = [f"restore_{name}" for name in _CREDENTIALS if not options[name]]
    if missing:
        raise ExpectationError(
            f"restore_host: expected restore_user, restore_secret_name and restore_secret_key with it, found no "
            f"{' and no '.join(missing)}. Set them to a user of that server, and to a Secret with its password in the "
            "namespace of the backups: those of the backups belong to another server"
        )
    if port is not None and not 0 < port <= 65535:
        raise ExpectationError(f"restore_port: expected a port number up to 65535, found {port}")
    return RestoreServer(Credentials(**options), host, port or _DEFAULT_PORT, sslmode)
