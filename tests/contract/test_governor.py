"""The governor in memory. The one on Redis is in `tests/integration`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.governor_cases import Clock, GovernorCases, Play, run
from tests.fakes.memory_governor import Account, Accounts, MemoryGovernor


class MemoryWorld:
    def __init__(self) -> None:
        self.clock = Clock()
        self.accounts = Accounts(Account)

    def play(self, play: Play, **settings: Any) -> Any:
        governor = MemoryGovernor(accounts=self.accounts, clock=self.clock, sleep=self.clock.sleep, **settings)
        return run(play, governor)

    def unreachable(self, play: Play) -> Any:
        governor = MemoryGovernor()
        governor.reachable = False
        return run(play, governor)


class TestMemoryGovernor(GovernorCases):
    @pytest.fixture
    def world(self) -> MemoryWorld:
        return MemoryWorld()
