"""Where files come from, as the download sees it: a name for messages, a size if known, and chunks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Body:
    """A file that is coming in."""

    source: str
    """How messages name where it comes from."""
    total_bytes: int | None
    """None when the source does not say."""
    chunks: AsyncGenerator[bytes, None]


class Source(Protocol):
    """Something that can be asked for a file by its URL."""

    def open(self, url: str) -> AbstractAsyncContextManager[Body]:
        """Ask for a file.

        Raises:
            Terminal: the URL is not allowed, or the source will not give the file.
            Transient: it may give it later; the chunks raise this as well.
        """
        ...
