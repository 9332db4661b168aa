"""Ranges of days to ask the vendor for: as few calls as possible, the oldest gaps first."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from gexlake.api.chronox.bars import Fill
from services.importer.gaps.table import GapDay
from shared.massive.resources import MAX_DAYS


def merged(days: Iterable[GapDay]) -> list[Fill]:
    """Return the ranges of at most 31 days that cover days with gaps, the earliest first.

    Args:
        days: by symbol and day. Days without gaps between two of them are asked for, too: a call for a month
            costs as much as one for a day.
    """
    fills: list[Fill] = []
    for symbol, of_symbol in groupby(days, key=lambda each: each.symbol):
        run: list[GapDay] = []
        for each in of_symbol:
            if run and (each.day - run[0].day).days >= MAX_DAYS:
                fills.append(_fill(symbol, run))
                run = []
            run.append(each)
        fills.append(_fill(symbol, run))
    return sorted(fills, key=lambda fill: (fill.first, fill.symbol))


def _fill(symbol: str, run: list[GapDay]) -> Fill:
    missing = sum(each.missing for each in run)
    return Fill(symbol=symbol, first=run[0].day, last=run[-1].day, missing=missing)
