"""Tell a full disk from the other troubles of one."""

from __future__ import annotations

import errno
import os
from typing import Final

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space left, over the quota, over the largest file that the process may write."""
_WORDS: Final = tuple(os.strerror(code) for code in _FULL)


def is_full(cause: BaseException) -> bool:
    """Tell whether an error means that the disk takes no more.

    The operating system has a number for it. A library that wrote for us has only the system's words.
    """
    if isinstance(cause, OSError) and cause.errno is not None:
        return cause.errno in _FULL
    return any(words in str(cause) for words in _WORDS)
