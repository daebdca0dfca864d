"""Which Data Manager tabs were made here."""

from __future__ import annotations

from typing import Protocol


class OwnTabs(Protocol):
    """Part of the store: a tab that is not among them is its users' own, whatever its title. Raises `StoreError`."""

    def note_tab(self, project_id: int, tab_id: int) -> None: ...

    def own_tabs(self, project_id: int) -> set[int]: ...
