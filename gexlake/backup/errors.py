"""Errors of backups; ``str()`` is the line that the operator sees."""

from __future__ import annotations


class BackupError(Exception):
    """A backup or a restore cannot be done, or was ended."""
