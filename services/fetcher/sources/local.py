"""Read files of local folders by ``file://`` URLs."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import unquote

from services.fetcher.errors import SourceMissing, SourceRefused, SourceUnavailable
from services.fetcher.sources.response_policy import check_url
from services.fetcher.sources.source import Body, ResumePoint
from shared.sources.gate import SourceGate

_CHUNK_BYTES: Final = 256 * 1024
_PUT_IT_THERE: Final = (
    "put it there (with Docker, into the host's folder GEXLAKE_LOCAL_SOURCES, which is /local) "
    "and replay the job, or submit the right URL"
)


class LocalSource:
    """Opens files below the gate's local folders.

    Args:
        gate: decides which ``file://`` URLs are allowed.
    """

    def __init__(self, gate: SourceGate) -> None:
        self._gate = gate

    @asynccontextmanager
    async def open(self, url: str, resume_from: ResumePoint | None = None) -> AsyncIterator[Body]:  # noqa: ARG002 (of the protocol)
        """Open a regular file whose real path is in an allowed folder, always from its start."""
        path = Path(unquote(check_url(self._gate, url).path))
        file = await asyncio.to_thread(self._open, path)
        try:
            yield Body(str(path), os.fstat(file.fileno()).st_size, _chunks(file, path))
        finally:
            file.close()

    def _open(self, path: Path) -> BinaryIO:
        try:
            real = path.resolve(strict=True)
            self._check_inside(path, real)
            # O_NONBLOCK: opening a pipe would otherwise wait for its writer.
            descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise SourceMissing(str(path.parent), f"{path.name} is not there", _PUT_IT_THERE) from error
        except PermissionError as error:
            remedy = "let the fetcher read it, in a container as uid 10001"
            raise SourceRefused(f"{path} cannot be opened ({_reason(error)}): {remedy}") from error
        except (NotADirectoryError, RuntimeError) as error:
            raise SourceRefused(f"{path} cannot be opened ({_reason(error)})") from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise SourceRefused(f"{path} cannot be opened ({_reason(error)})") from error
            raise SourceUnavailable(str(path), f"cannot be opened ({_reason(error)})") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise SourceRefused(f"{path} is not a regular file")
        return os.fdopen(descriptor, "rb", buffering=0)

    def _check_inside(self, path: Path, real: Path) -> None:
        folders = (Path(folder).resolve() for folder in self._gate.local_dirs)
        if not any(real.is_relative_to(folder) for folder in folders):
            raise SourceRefused(f"{path} leads out of the allowed folders by a symbolic link")


async def _chunks(file: BinaryIO, path: Path) -> AsyncGenerator[bytes, None]:
    while True:
        try:
            chunk = await asyncio.to_thread(file.read, _CHUNK_BYTES)
        except OSError as error:
            raise SourceUnavailable(str(path), f"cannot be read ({_reason(error)})") from error
        if not chunk:
            return
        yield chunk


def _reason(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "a loop of links"
