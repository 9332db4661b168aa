"""Errors that mean a full disk."""

from __future__ import annotations

import errno
import os

import duckdb
import pytest

from shared.process.disk_space import is_full

SPILL_LIMIT = (
    "failed to offload data block of size 256.0 KiB (1.2 GiB/1.2 GiB used).\n"
    "This limit was set by the 'max_temp_directory_size' setting."
)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_recognised_by_errno_and_by_message(code: int) -> None:
    assert is_full(OSError(code, "whatever it is called here"))
    assert is_full(duckdb.IOException(f'Could not write file "/data/gex_data.db": {os.strerror(code)}'))


@pytest.mark.parametrize(
    "cause",
    [
        OSError(errno.EIO, os.strerror(errno.EIO)),
        PermissionError(errno.EACCES, "No space left on device says the folder's name"),
        duckdb.IOException('Could not write file "/data/gex_data.db": Input/output error'),
        duckdb.OutOfMemoryException(SPILL_LIMIT),
    ],
    ids=["input_output", "not_allowed", "input_output_in_duckdb", "limit_of_spilled_files"],
)
def test_other_errors_are_not_a_full_disk(cause: Exception) -> None:
    assert not is_full(cause)
