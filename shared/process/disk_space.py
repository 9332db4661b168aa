"""Recognise errors that mean a full disk."""

from __future__ import annotations

import errno
import os
from typing import Final

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space left, disk quota exceeded, file size limit of the process exceeded."""
_MESSAGES: Final = tuple(os.strerror(code) for code in _FULL)


def is_full(cause: BaseException) -> bool:
    """Return whether an error means that the disk is full.

    An OSError carries an errno; errors of libraries carry only the system's message.
    """
    if isinstance(cause, OSError) and cause.errno is not None:
        return cause.errno in _FULL
    return any(message in str(cause) for message in _MESSAGES)
