"""The dataset of minute bars and market snapshots of stocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from shared.dataset import Dataset, SourceFile
from shared.massive import flat_files
from shared.massive.resources import (
    BARS_ENDPOINT,
    MANY_SYMBOLS,
    SNAPSHOTS_ENDPOINT,
    WHOLE_MARKET,
    minute_bars_of,
)
from shared.massive.symbols import check_symbol

_BATCH: Final = re.compile(rf"{MANY_SYMBOLS}(-\d+)?")


def _check_ticker(text: str) -> str:
    """Return a symbol, the name of the whole market, or that of a batch of symbols; case is kept."""
    ticker = text.strip()
    return ticker if ticker == WHOLE_MARKET or _BATCH.fullmatch(ticker) else check_symbol(ticker)


def _file_names(job: SourceFile) -> Iterator[str]:
    """Yield the name of a flat file; what REST answers is not staged."""
    _, found, key = job.base_url.partition(f"/{flat_files.BUCKET}/")
    with suppress(ValueError):
        if found:
            yield f"{flat_files.day_of(key)}{flat_files.ENDING}"


def _urls_of(base_url: str) -> tuple[str, ...]:
    """Return a flat file's URL or that of a symbol's snapshot as it is, and that of bars with its query."""
    bars = minute_bars_of(base_url)
    return (base_url,) if bars is None else (f"{base_url.removesuffix('/adjusted')}?{bars.query}",)


MASSIVE: Final = Dataset(
    name="massive",
    endpoints=(BARS_ENDPOINT, SNAPSHOTS_ENDPOINT),
    check_ticker=_check_ticker,
    tables={"bars": "ohlcv_1m", "snapshots": "snapshots"},
    file_names=_file_names,
    urls_of=_urls_of,
)
