"""The governor in memory. The one on Redis is in `tests/integration`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.governor_cases import Clock, GovernorCases, Play, run
from tests.fakes.memory_governor import MemoryGovernor


class MemoryWorld:
    """What was given before is known to the next governor."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._before: dict[str, MemoryGovernor] = {}

    def play(self, play: Play, **settings: Any) -> Any:
        return run(play, _PerModel(self, settings))

    def unreachable(self, play: Play) -> Any:
        governor = MemoryGovernor()
        governor.reachable = False
        return run(play, governor)
