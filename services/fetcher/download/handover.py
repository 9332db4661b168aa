"""Hand a download over to a newer request for the same file, which resumes it.

The older attempt stops once it is superseded and can be resumed; the newer one waits a moment for its bytes.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from services.fetcher.download.block_writer import blocking
from services.fetcher.download.partial_recovery import partial_files
from shared.errors import BrokerUnavailable

CHECK_INTERVAL_S: Final = 1.0
"""How often a download checks whether it is superseded."""
MAX_WAIT_S: Final = 4.0
"""How long a newer request waits for the older one; then it downloads the whole file."""
_POLL_S: Final = 0.1
Check = Callable[[], Awaitable[bool]]
"""Returns whether there is a newer request."""


async def until_superseded(
    work: Coroutine[Any, Any, None],
    can_resume: Callable[[], bool],
    is_superseded: Check,
) -> bool:
    """Run a download to its end, or until a newer request can go on with it; return whether it ended.

    Args:
        work: the download.
        can_resume: whether another attempt could resume it now.
        is_superseded: whether there is a newer request.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=CHECK_INTERVAL_S)
            if not task.done() and can_resume() and await _is_so(is_superseded):
                break
    finally:
        task.cancel()
        await asyncio.wait({task})
    if task.cancelled():
        return False
    task.result()
    return True


async def _is_so(is_superseded: Check) -> bool:
    try:
        return await is_superseded()
    except BrokerUnavailable:
        return False


async def wait_for_older(final: Path, job_id: UUID) -> None:
    """Wait until no other attempt writes a partial file of the job, within limits.

    Raises:
        StagingFailed: the folder cannot be read.
    """
    for _ in range(round(MAX_WAIT_S / _POLL_S)):
        if not await blocking(final, _is_being_written, final, job_id):
            return
        await asyncio.sleep(_POLL_S)


def _is_being_written(final: Path, job_id: UUID) -> bool:
    return final.parent.exists() and any(map(_is_locked, partial_files(final, job_id)))


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
