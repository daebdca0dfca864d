"""What the jobs that have a budget spend: one account a job, whoever works at it on whichever machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """What one call may cost at most. It ends with `settle_spending`, or by itself some time after its worker died:
    then it counts as spent, because the call may have been made."""

    id: str
    job_id: int
    tokens: int
    usd: float


@dataclass(frozen=True, kw_only=True)
class Spending:
    """A job's account."""

    tokens: int
    usd: float
    in_flight: int  # reservations of calls that are not over
    reserved_tokens: int  # by them
    reserved_usd: float


class Ledger(Protocol):
    """Raises `StoreError`."""

    def reserve_spending(self, job_id: int, *, tokens: int, usd: float, lease_s: float) -> Reservation | None:
        """Room for a call that costs at most this much; None where what is spent and reserved leaves no room for it in
        the job's budgets."""
        ...

    def settle_spending(self, reservation: Reservation, *, tokens: int, usd: float) -> None:
        """The call is over and cost this much. To be called once."""
        ...

    def spending(self, job_id: int) -> Spending: ...
