"""Count fields of responses that this version does not know, and log each name once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import structlog

log = structlog.get_logger(__name__)


class UnknownFields:
    """Counts names; they are ignored otherwise."""

    def __init__(self) -> None:
        self.responses: Counter[str] = Counter()
        """In how many responses each name was found."""

    def count(self, names: Iterable[str], where: str) -> None:
        """Count the names in a response.

        Args:
            names: of fields that are not known.
            where: what the response is of.
        """
        for name in names:
            if name not in self.responses:
                log.warning("unknown_field", field=name, where=where)
            self.responses[name] += 1
