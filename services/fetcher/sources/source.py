"""Where files come from, as the download sees it: a name for messages, a size if known, and chunks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

Chunk: TypeAlias = bytes | memoryview
"""What comes in at once; it is not written to any more."""


@dataclass(frozen=True)
class Held:
    """The beginning of a file that is here already, and what tells whether the source still has that file."""

    size_bytes: int
    """More than none, and less than the whole: so something is asked for, and the source has to answer."""
    etag: str
    """A strong one, in its quotes."""
    total_bytes: int | None
    """Of the whole file; None when the source did not say."""


@dataclass(frozen=True)
class Body:
    """A file that is coming in."""

    source: str
    """How messages name where it comes from."""
    total_bytes: int | None
    """Of the whole file; None when the source does not say."""
    chunks: AsyncGenerator[Chunk, None]
    start_bytes: int = 0
    """Where in the file the chunks begin: at 0, or at the end of what is held."""
    etag: str | None = None
    """By which the rest can be asked for if this breaks off; None when the source has no strong one."""


class Source(Protocol):
    """Something that can be asked for a file by its URL."""

    def open(self, url: str, held: Held | None = None) -> AbstractAsyncContextManager[Body]:
        """Ask for a file, or for the rest of it.

        Args:
            url: where it is.
            held: what is here of it; the whole comes all the same when that is of no use any more.

        Raises:
            Terminal: the URL is not allowed, or the source will not give the file.
            Transient: it may give it later; the chunks raise this as well.
        """
        ...
