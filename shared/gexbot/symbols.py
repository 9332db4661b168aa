"""The symbols that the vendor has options of, by its public API specification (version 2.3.0)."""

from __future__ import annotations

from typing import Final

_STOCKS: Final = (
    "AAPL AMD AMZN APP AVGO BABA BOIL COIN CRWD CRWV DDOG DIA GLD GME GOOG GOOGL HOOD HYG IBIT INTC IONQ IWM "
    "META MSFT MSTR MU NFLX NVDA NVO ORCL PL PLTR QQQ RDDT ROKU SHOP SLV SMCI SNDK SNOW SOFI SPY TLT TQQQ "
    "TSLA TSM UBER UNG UNH USO UVXY VALE ZS"
)
_INDICES: Final = "NDX RUT SPX VIX"
_VARIANTS: Final = "ES_SPX NDXP NQ_NDX RUTW SPXW VIXW"
_STREAM_ONLY: Final = (
    "AXP BAC BE BMNR C CBOE CIFR CME CRM DRAM ETHA EXK F FUTU GDX GS HIMS IEF IREN JPM LLY MA MARA MS MTCH "
    "NBIS NDAQ NKE NXE ONDS OXY PFE PINS PYPL RIOT RIVN SBSW SCHW SMH SMR SOXL TGT TSLL TTD V WFC WMT WULF "
    "XLE XLF XSP"
)
"""On its websocket alone."""
_UNLISTED: Final = "SPCX"
"""Seen on its websocket; the specification lacks it."""

TICKERS: Final = frozenset(f"{_STOCKS} {_INDICES} {_VARIANTS} {_STREAM_ONLY} {_UNLISTED}".split())
"""Every ticker of the vendor."""


def parts_of(ticker: str) -> tuple[str, ...]:
    """Return a ticker and its parts: of ``NQ_NDX``, the future ``NQ`` and the index ``NDX`` too."""
    return (ticker, *(part for part in ticker.split("_") if part != ticker))


OPTIONABLE: Final = frozenset(part for ticker in TICKERS for part in parts_of(ticker))
"""Every ticker, and every part of one."""


def underlying_of(ticker: str) -> str:
    """Return the symbol whose options a ticker is about: of ``NQ_NDX``, the index ``NDX``."""
    return ticker.rpartition("_")[2] or ticker
