"""Revisions of what is kept in buckets: the header If-Match."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import Header

from services.intake.errors import Unprocessable

_ETAG: Final = re.compile(r'(?:W/)?"?(\d{1,18})"?')
IfMatch = Annotated[str | None, Header(description="the ETag of what is changed, or *")]


def revision_in(if_match: str | None) -> int | None:
    """Return the revision in an ``If-Match``; None for any.

    Raises:
        Unprocessable: it is no ETag of a revision.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        raise Unprocessable("if-match", "etag", 'if-match: send the ETag of what is changed, such as "7"')
    return int(match[1])
