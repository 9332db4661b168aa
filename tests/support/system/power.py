"""A disk that loses power: what was not flushed to it is gone, as on a machine.

It is an ext4 file system on a loop device. ``cut`` shuts the file system down without flushing its journal
(``EXT4_IOC_SHUTDOWN``, as xfstests do). It commits so rarely that nothing survives by luck:
only what a program flushed, files and folders, is there again.
"""

from __future__ import annotations

import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

_SIZE_MB: Final = 512
_OPTIONS: Final = "loop,commit=300,noauto_da_alloc"
_SHUTDOWN: Final = 0x8004587D
_WITHOUT_FLUSH: Final = struct.pack("I", 2)
_UNMOUNT_WITHIN_S: Final = 10.0


class PowerDisk:
    """A file system in ``image``, mounted at ``folder``."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.image = image
        self.folder = folder

    def cut(self) -> None:
        """Lose power: nothing can be read or written, and what was not flushed is lost."""
        import fcntl  # noqa: PLC0415 (not on Windows, where these tests are skipped)

        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, _WITHOUT_FLUSH)
        finally:
            os.close(descriptor)

    def restore(self) -> None:
        """Mount the disk again; no process may hold a file of it."""
        self.unmount()
        self.mount()

    def mount(self) -> None:
        """Mount the disk."""
        _run("mount", "-o", _OPTIONS, self.image, self.folder)

    def unmount(self) -> None:
        """Unmount the disk, as soon as the processes that were killed have let go of it."""
        deadline = time.monotonic() + _UNMOUNT_WITHIN_S
        while True:
            try:
                return _run("umount", self.folder)
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def power_disk(folder: Path) -> Iterator[PowerDisk]:
    """Mount a disk below ``folder``; where that is not allowed, the test is skipped."""
    disk = PowerDisk(folder / "disk.img", folder / "disk")
    disk.folder.mkdir(parents=True)
    with disk.image.open("wb") as image:
        image.truncate(_SIZE_MB << 20)
    try:
        _run("mkfs.ext4", "-q", "-F", disk.image)
        disk.mount()
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", b"") or str(error).encode()
        pytest.skip(f"no ext4 on a loop device here (Linux, root): {reason.decode().strip()}")
    try:
        yield disk
    finally:
        with suppress(subprocess.CalledProcessError):
            disk.unmount()
