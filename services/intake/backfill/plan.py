"""What to do about each day of a backfill: values in, a plan out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from gexlake.api.backfill import Standing
from services.intake.backfill.request import BackfillRequest
from services.intake.history.request import HistoryRequest
from services.intake.priorities.facts import Origin
from shared.bus.reports.presence import HEARTBEAT_INTERVAL_S, Heartbeat
from shared.bus.requests import Channel
from shared.gexbot.partition import Partition
from shared.gexbot.trading_day import NEW_YORK
from shared.gexbot.vendor_api import HISTORY_DAYS, VendorApi
from shared.job_states import JobState

NO_DATA_IS_FINAL_AFTER: Final = timedelta(days=2)
"""The vendor may publish a day late: a result without data is final only after this time."""
_ALIVE_WITHIN: Final = timedelta(seconds=3 * HEARTBEAT_INTERVAL_S)


@dataclass(frozen=True)
class PlannedDay:
    """One partition of a backfill."""

    partition: Partition
    standing: Standing
    job_id: UUID | None = None
    """The job that imports it, existing or planned."""


@dataclass(frozen=True)
class Known:
    """What is known of partitions."""

    held: frozenset[Partition] = frozenset()
    no_data: Mapping[Partition, datetime] = field(default_factory=dict)
    """When the vendor reported that (UTC)."""
    under_way: Mapping[Partition, UUID] = field(default_factory=dict)
    """The job of each."""


def plan(asked: BackfillRequest, known: Known, api: VendorApi) -> tuple[PlannedDay, ...]:
    """Return what to do about each day: queue it, or leave it out and why."""
    return tuple(_plan_day(partition, asked, known, api) for partition in asked.partitions)


def _plan_day(partition: Partition, asked: BackfillRequest, known: Known, api: VendorApi) -> PlannedDay:
    if asked.force:
        return PlannedDay(partition, Standing.PLANNED, request_of(partition, asked, api).job_id)
    if partition in known.held:
        return PlannedDay(partition, Standing.HELD)
    if partition in known.under_way:
        return PlannedDay(partition, Standing.UNDER_WAY, known.under_way[partition])
    reported_at = known.no_data.get(partition)
    if reported_at is not None and _is_final(partition.trading_day, reported_at):
        return PlannedDay(partition, Standing.NO_DATA)
    return PlannedDay(partition, Standing.PLANNED, request_of(partition, asked, api).job_id)


def _is_final(day: date, reported_at: datetime) -> bool:
    return reported_at.astimezone(NEW_YORK).date() - day >= NO_DATA_IS_FINAL_AFTER


def request_of(partition: Partition, asked: BackfillRequest, api: VendorApi) -> HistoryRequest:
    """Return the request that imports a partition from the vendor's API."""
    return HistoryRequest(
        ticker=partition.ticker,
        endpoint=partition.endpoint,
        trading_day=partition.trading_day,
        base_url=api.base_url_of(partition),
        url=api.url_of(partition),
        priority=asked.priority,
        force=asked.force,
        reason=asked.reason,
        origin=Origin(Channel.BACKFILL, client=asked.client),
    )


def under_way(states: Iterable[JobState]) -> dict[Partition, UUID]:
    """Return the partitions for which a job is not finished, whatever its URL, with its id."""
    return {
        Partition(state.job.ticker, state.job.endpoint, day): state.job.job_id
        for state in states
        if not state.is_finished and (day := state.trading_day or state.job.trading_day)
    }


def no_data(states: Iterable[JobState]) -> dict[Partition, datetime]:
    """Return the partitions for which jobs found no data at the vendor, and when (UTC)."""
    return {
        Partition(state.job.ticker, state.job.endpoint, day): state.updated_at
        for state in states
        if state.no_data is not None and (day := state.job.trading_day)
    }


def as_queued(day: PlannedDay, *, was_under_way: bool) -> PlannedDay:
    """Return a planned day once its job is in the broker."""
    return replace(day, standing=Standing.UNDER_WAY if was_under_way else Standing.QUEUED)


def warnings(asked: BackfillRequest, today: date) -> list[str]:
    """Return warnings about days for which the vendor may have no data.

    Args:
        asked: the request.
        today: the date in New York.
    """
    found = []
    oldest = today - timedelta(days=HISTORY_DAYS)
    gone = sum(day < oldest for day in asked.trading_days)
    if gone:
        counted = f"{gone} of {len(asked.trading_days)} trading days are before {oldest}"
        found.append(f"{counted}: the vendor keeps {HISTORY_DAYS} days, and may have no data for them")
    if today in asked.trading_days:
        found.append(f"{today} is today: the vendor may have the day only after its end")
    return found


def no_key_anywhere(days: Iterable[PlannedDay], heartbeats: Iterable[Heartbeat], now: datetime) -> bool:
    """Return whether a day is to be queued, and every running fetcher says that it has no key.

    Args:
        days: the plan.
        heartbeats: the last of every service; the service of an old one may be gone.
        now: the present moment (UTC).
    """
    fetchers = [beat for beat in heartbeats if beat.service == "fetcher" and _is_alive(beat, now)]
    is_known = bool(fetchers) and all(beat.has_vendor_key is False for beat in fetchers)
    return is_known and any(day.standing is Standing.PLANNED for day in days)


def without_key(days: Iterable[PlannedDay], heartbeats: Iterable[Heartbeat], now: datetime) -> list[str]:
    """Warn of fetchers that cannot ask the vendor's API, if any day needs that.

    Args:
        days: the plan.
        heartbeats: the last of every service; the service of an old one may be gone.
        now: the present moment (UTC).
    """
    lacking = sorted(
        beat.instance for beat in heartbeats if beat.has_vendor_key is False and _is_alive(beat, now)
    )
    if not lacking or all(day.job_id is None for day in days):
        return []
    where = f"there is no GEXBOT_API_KEY in the fetcher on {', '.join(lacking)}"
    return [f"{where}: days that it fetches fail; set the key, restart the fetcher and replay them"]


def _is_alive(beat: Heartbeat, now: datetime) -> bool:
    return now - beat.at < _ALIVE_WITHIN
