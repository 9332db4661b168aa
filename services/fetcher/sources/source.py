"""The interface of a source of files."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

Chunk: TypeAlias = bytes | memoryview
"""Received bytes; not modified afterwards."""


@dataclass(frozen=True)
class ResumePoint:
    """The received beginning of a file, and how to recognize that file at the source."""

    size_bytes: int
    """More than 0 and less than the whole, so that a non-empty rest is requested."""
    etag: str
    """A strong entity tag, with its quotes."""
    total_bytes: int | None
    """The size of the whole file; None if the source did not announce it."""


@dataclass(frozen=True)
class Body:
    """A file that is being received."""

    source: str
    """The source, for messages."""
    total_bytes: int | None
    """The size of the whole file; None if the source does not announce it."""
    chunks: AsyncGenerator[Chunk, None]
    start_bytes: int = 0
    """The offset of the first chunk in the file: 0, or that of the resume point."""
    etag: str | None = None
    """The strong entity tag to resume with; None if the source sent none."""


class Source(Protocol):
    """Opens files by URL."""

    def open(self, url: str, resume_from: ResumePoint | None = None) -> AbstractAsyncContextManager[Body]:
        """Open a file, or the rest of it.

        Args:
            url: the URL of the file.
            resume_from: the received beginning; if the file has changed, the whole is sent.

        Raises:
            Terminal: the URL is not allowed, or the source does not provide the file.
            Transient: a retry may succeed; the chunks raise this as well.
        """
        ...
