# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The controller's part of the module prerequisites_info.

The role's other tasks are kubernetes.core's own, and its users set the credentials for those. This module reads for
the role, so it takes the same credentials, and finds kubeconfig files as kubernetes.core does.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.kubernetes.core.plugins.action.k8s_info import ActionModule as KubernetesCoreAction
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC

MODULE = "kubernetes.core.k8s_info"
AUTHENTICATION = {name for option, spec in AUTH_ARG_SPEC.items() for name in (option, *spec.get("aliases", []))}


class ActionModule(KubernetesCoreAction):  # type: ignore[misc]  # kubernetes.core has no types
    """Runs the module with the authentication options that a task with kubernetes.core.k8s_info would have here."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        self._task.args = {**self._kubernetes_core_defaults(), **self._task.args}
        result: dict[str, Any] = super().run(tmp, task_vars)
        return result

    def _kubernetes_core_defaults(self) -> dict[str, Any]:
        """The `module_defaults` of kubernetes.core.k8s_info and of its groups, as ansible-core merges them.

        See _get_action_arg_defaults in ansible/executor/module_common.py, which is private and changes its name.
        """
        play = self._task._parent._play
        groups = [f"group/{name}" for name in (play._action_groups or {}).get(MODULE, [])]
        defaults: dict[str, Any] = {}
        for task_defaults in self._task.module_defaults or []:
            defaults.update(task_defaults)
        merged: dict[str, Any] = {}
        for key in [*(key for key in defaults if key in groups), MODULE]:
            merged.update(self._templar.template(defaults.get(key) or {}))
        return {name: value for name, value in merged.items() if name in AUTHENTICATION}

    def _ensure_invocation(self, result: dict[str, Any]) -> dict[str, Any]:
        """Without kubernetes.core's copy of the arguments, which is not censored where a module dies early."""
        return result
