"""The days of symbols that unfinished jobs fetch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from gexlake.api.chronox.bars import Fill
from services.intake.market_days import days_between, why_closed
from shared.job_states import JobState
from shared.massive.resources import BARS_ENDPOINT, FlatFile, MassiveUrls, MinuteBars, minute_bars_of


@dataclass
class UnderWay:
    """What unfinished jobs fetch of bars as traded."""

    by_rest: dict[str, list[MinuteBars]] = field(default_factory=dict)
    """By symbol."""
    files: set[date] = field(default_factory=set)
    """The days of flat files, which have all symbols."""

    @classmethod
    def of(cls, jobs: Iterable[JobState], urls: MassiveUrls) -> UnderWay:
        """Return what the unfinished ones of jobs fetch."""
        found = cls()
        for state in jobs:
            if state.job.endpoint != BARS_ENDPOINT or state.is_finished:
                continue
            bars = minute_bars_of(state.job.base_url) or urls.resource_of(state.job.base_url)
            if isinstance(bars, FlatFile):
                found.files.add(bars.day)
            elif isinstance(bars, MinuteBars) and not bars.adjusted:
                found.by_rest.setdefault(bars.symbol, []).append(bars)
        return found

    def covers(self, fill: Fill) -> bool:
        """Return whether every trading day of a fill is fetched."""
        of_symbol = self.by_rest.get(fill.symbol, ())
        return all(
            day in self.files or any(bars.first <= day <= bars.last for bars in of_symbol)
            for day in days_between(fill.first, fill.last)
            if why_closed(day) is None
        )
