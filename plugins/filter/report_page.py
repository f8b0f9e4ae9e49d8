# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter report_page, a face of module_utils/_report/ for the playbook report."""

from __future__ import annotations

DOCUMENTATION = r"""
name: report_page
short_description: Make a page in HTML about backup installations
version_added: 1.1.0
description:
  - Makes one page in HTML about one or many backup installations, from what M(homelab.postgres_backup.backup_info)
    returned with O(homelab.postgres_backup.backup_info#module:history=true).
  - It is used by the playbook C(homelab.postgres_backup.report), which passes its templates.
positional: _input, templates, now
options:
  _input:
    description: One item for each installation.
    type: list
    elements: dict
    required: true
    suboptions:
      host:
        description: The host of the inventory.
        type: str
        required: true
      result:
        description: The result of M(homelab.postgres_backup.backup_info), or of its failure.
        type: dict
        required: true
  templates:
    description:
      - The text of each template by its name. V(page.html.j2) is rendered; it may include the others.
      - Values are escaped wherever they are printed, which Ansible's own templates do not do.
    type: dict
    required: true
  now:
    description: The time in UTC when the results were read, such as V(2026-11-22T02:00:00Z).
    type: str
    required: true
  inventory:
    description: The values of C(-i) for the commands on the page.
    type: list
    elements: str
    default: []
seealso:
  - module: homelab.postgres_backup.backup_info
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Read the installation
  homelab.postgres_backup.backup_info:
    history: true
  register: info

- name: Write a page about it
  ansible.builtin.copy:
    dest: backups.html
    mode: "0640"
    content: "{{ page.html }}"
  vars:
    page: "{{ [{'host': 'localhost', 'result': info}] | homelab.postgres_backup.report_page(templates, now) }}"
    templates: {page.html.j2: "<p>{{ '{{ page.verdict }}' }}</p>"}
    now: "{{ now(utc=true, fmt='%Y-%m-%dT%H:%M:%SZ') }}"
"""

RETURN = r"""
_value:
  description:
    - C(html) is the page. C(lines) are its verdict and the problems in plain text. C(healthy) is whether all
      installations were read and are healthy.
  type: dict
  sample:
    html: <!DOCTYPE html>…
    lines: ["1 of 2 installations are not healthy", "shop: the CronJob is suspended"]
    healthy: false
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.postgres_backup.plugins.module_utils._report.installation import HEALTHY
from ansible_collections.homelab.postgres_backup.plugins.module_utils._report.page import page
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.backup_names import parse_time
from jinja2 import DictLoader, Environment, StrictUndefined


def report_page(
    installations: Sequence[Mapping[str, Any]],
    templates: Mapping[str, str],
    now: str,
    *,
    inventory: Sequence[str] = (),
) -> dict[str, Any]:
    time = parse_time(str(now))
    if time is None:
        raise AnsibleFilterError(f"report_page: expected a time such as 2026-11-22T02:00:00Z, found {now}")
    view = page(installations, inventory, time)
    # Not Ansible's templates: their expressions keep the types of values, and so ignore {% autoescape %}.
    environment = Environment(
        autoescape=True,
        loader=DictLoader({str(name): _without_indentation(str(text)) for name, text in templates.items()}),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    html = environment.get_template("page.html.j2").render(page=view)
    return {"html": html, "lines": view.lines, "healthy": view.state == HEALTHY}


def _without_indentation(template: str) -> str:
    """A page about a hundred installations would repeat it a hundred times."""
    return "\n".join(line.strip() for line in template.splitlines())


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"report_page": report_page}
