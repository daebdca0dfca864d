"""Write back while the model is being asked: a job's first predictions do not wait for its last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from backend.core.errors import PrelabelError
from backend.services.writeback import Writer

_log = logging.getLogger(__name__)

EACH_S = 5.0


@asynccontextmanager
async def written_back_meanwhile(writer: Writer, project_id: int, *, each_s: float = EACH_S) -> AsyncIterator[None]:
    """Now and then, in a thread beside the calls. What fails is told, and left to the write-back that follows."""

    async def write_back() -> None:
        while True:
            await asyncio.sleep(each_s)
            try:
                # Not for long at a time: the chunk does not end before the thread does.
                await asyncio.to_thread(writer.write_back, project_id, longest_s=each_s)
            except PrelabelError as error:
                _log.warning("not written back for now", extra={"project": project_id, "reason": error.for_log})

    writing = asyncio.create_task(write_back())
    try:
        yield
    finally:
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
