"""Change what clients decide about a source: whether it is requested, and its name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import structlog

from gexlake.api.sources import SourceChanges
from services.intake.errors import NotFound, NotReady
from services.intake.state.broker_link import BrokerLink
from services.intake.state.sources.view import KnownSources
from shared.sources.record import SourceRecord
from shared.sources.record_store import WRITE_TRIES, SourceRecords

log = structlog.get_logger(__name__)


class SourceControl:
    """Writes records of sources beside the fetchers; each change is on the broker's disk when it returns.

    Args:
        link: the connection.
        known: the sources that there are; gets each change at once.
        clock: the present moment.
    """

    def __init__(self, link: BrokerLink, known: KnownSources, clock: Callable[[], datetime]) -> None:
        self._link = link
        self._known = known
        self._clock = clock

    async def change(self, source_id: UUID, changes: SourceChanges, by: str) -> SourceRecord:
        """Change a source.

        Args:
            source_id: which.
            changes: the new values.
            by: who changes it.

        Raises:
            NotFound: there is no such source.
            NotReady: others change it all the time.
            BrokerUnavailable: no ack in time.
        """
        known = self._known.get(source_id)
        if known is None:
            raise no_source(source_id)
        records = SourceRecords(self._link.require())
        for _ in range(WRITE_TRIES):
            before, revision = await records.read(known.base_url)
            after = self._changed(before, changes, by)
            if after == before:
                return before
            written = await records.write(after, revision)
            if written is not None:
                self._known.put(after, written)
                log.info(
                    "source_changed", source=after.base_url, by=by, **changes.model_dump(exclude_none=True)
                )
                return after
        raise NotReady("conflict", "the source is changed by others all the time; try again")

    def _changed(self, record: SourceRecord, changes: SourceChanges, by: str) -> SourceRecord:
        if changes.name is not None:
            record = record.named(changes.name)
        if changes.is_active is None:
            return record
        return record.activated() if changes.is_active else record.deactivated(by, self._clock())


def no_source(source_id: UUID) -> NotFound:
    """Return the refusal of an id that no source has."""
    return NotFound("source_id", "exists", f"there is no source {source_id}")
