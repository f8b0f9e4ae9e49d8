# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""How often as long one piece of work takes as another one.

A bound in seconds would be one of the machine: it fails where the processor is slower, or shared with other machines.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def ratio(work: Callable[[], object], yardstick: Callable[[], object]) -> float:
    """The processor time of `work`, divided by that of `yardstick`: the least of three rounds, which take turns."""
    rounds = [(_seconds(work), _seconds(yardstick)) for _ in range(3)]
    return min(of_work for of_work, _ in rounds) / min(of_yardstick for _, of_yardstick in rounds)


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
