"""A deterministic trading day in the vendor's format, for tests, the demo and measurements.

``python -m simulator.generator --ticker NQ_NDX --endpoint gex_zero --day 2025-11-14 --out FILE`` writes one.
Options that are not given are taken from the name of FILE, if it is a vendor's. Its suffix chooses the
format: ``.json`` (an array) or ``.jsonl`` (one record a line), either with ``.gz``. For a larger file use
more snapshots a second (``--snapshots 93600 --per-second 4``): strikes far from spot add few bytes.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import accumulate, islice, pairwise
from operator import sub
from pathlib import Path
from random import Random
from typing import Any, BinaryIO, ClassVar, Final

from shared.gexbot.partition import PACKAGES, normalize_ticker
from shared.gexbot.source_name import parse_source_name
from shared.gexbot.trading_day import NEW_YORK
from simulator.market import Profile, profiles, strikes_around

LAGS_S: Final = (60, 300, 600, 900, 1800)
"""The ages of the priors: 1, 5, 10, 15 and 30 minutes."""
OPEN: Final = time(9, 30)
MAX_SNAPSHOTS: Final = 52_200
"""Seconds from the open to midnight: at one a second, all records lie inside the trading day."""
_MILLISECONDS: Final = 1000
_FRIDAY: Final = 4


@dataclass(frozen=True)
class FileSummary:
    """The content of a written file: counts, size and checksum."""

    snapshots: int
    strike_rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Day:
    """One ticker's trading day, ``per_second`` snapshots a second from 09:30:00 New York.

    Raises:
        ValueError: a field is not a ticker, not one of the endpoints, or out of range.
    """

    ENDPOINTS: ClassVar[tuple[str, ...]] = PACKAGES["classic"]
    """The endpoints whose files have this format."""

    ticker: str = "NQ_NDX"
    endpoint: str = "gex_zero"
    day: date = date(2025, 11, 14)
    snapshots: int = 23_400
    strikes: int = 100
    seed: int = 1
    per_second: int = 1

    def __post_init__(self) -> None:
        normalize_ticker(self.ticker)
        if self.endpoint not in self.ENDPOINTS:
            raise ValueError(f"{self.endpoint!r} is not one of {', '.join(self.ENDPOINTS)}")
        if self.per_second < 1 or _MILLISECONDS % self.per_second:
            raise ValueError(f"snapshots come in whole milliseconds, not {self.per_second} a second")
        if not 1 <= self.snapshots <= MAX_SNAPSHOTS * self.per_second:
            raise ValueError(
                f"a day has 1 to {MAX_SNAPSHOTS * self.per_second} snapshots, not {self.snapshots}"
            )
        if not 1 <= self.strikes <= 1000:
            raise ValueError(f"a snapshot has 1 to 1000 strikes, not {self.strikes}")

    @property
    def file_name(self) -> str:
        """The vendor's name for the file."""
        return file_name(self.day, self.ticker, self.endpoint)

    @property
    def strike_rows(self) -> int:
        """The number of strike rows of all records."""
        return self.snapshots * self.strikes

    @property
    def first_timestamp_s(self) -> int:
        """The open, in UTC epoch seconds."""
        return int(datetime.combine(self.day, OPEN, tzinfo=NEW_YORK).timestamp())

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the records, parsed from the text that ``write`` puts into the file."""
        return (json.loads(text) for text in self._texts())

    def write(self, path: Path, on_record: Callable[[], object] | None = None) -> FileSummary:
        """Write the file, a record at a time.

        Args:
            path: the file; its suffix chooses the format.
            on_record: called after each record.
        """
        is_array = ".jsonl" not in path.suffixes
        with ExitStack() as closing:
            out: Any = closing.enter_context(path.open("wb"))
            if path.suffix == ".gz":
                # No name and no time in the header, so that the same day gives the same bytes.
                out = closing.enter_context(gzip.GzipFile("", "wb", 6, out, mtime=0))
            _write_records(out, self._texts(), on_record, is_array=is_array)
        with path.open("rb") as written:
            sha256 = hashlib.file_digest(written, "sha256").hexdigest()
        return FileSummary(self.snapshots, self.strike_rows, path.stat().st_size, sha256)

    def _texts(self) -> Iterator[str]:
        source = Random(f"{self.seed} {self.ticker} {self.endpoint} {self.day}")
        strikes = strikes_around(self.ticker, self.strikes)
        session = islice(profiles(self.ticker, strikes, source, 1 / self.per_second), self.snapshots)
        calendar = f'"min_dte":0,"sec_min_dte":{3 if self.day.weekday() == _FRIDAY else 1}'
        past = _Past(self.strikes, self.per_second)
        for number, profile in enumerate(session):
            past.add(profile.by_volume)
            yield f'{{"timestamp":{self._timestamp(number)},"ticker":"{self.ticker}",{calendar},' + _figures(
                strikes, profile, past
            )

    def _timestamp(self, number: int) -> str:
        whole, rest = divmod(number, self.per_second)
        second = self.first_timestamp_s + whole
        return repr(second + rest / self.per_second) if rest else str(second)


class _Past:
    """The figures by volume of the last half hour, as numbers and as text."""

    def __init__(self, strikes: int, per_second: int) -> None:
        before_the_open = ([0] * strikes, ["0"] * strikes)
        length = LAGS_S[-1] * per_second + 1
        self._per_second = per_second
        # A prior from before the open is 0.
        self._snapshots = deque([before_the_open] * length, maxlen=length)

    def add(self, by_volume: list[int]) -> None:
        """Add the next snapshot."""
        self._snapshots.append((by_volume, [_text(figure) for figure in by_volume]))

    def texts(self, lag_s: int) -> list[str]:
        """Return the figures of ``lag_s`` seconds ago as text of the file."""
        return self._snapshots[-1 - lag_s * self._per_second][1]

    def largest_change(self, lag_s: int) -> tuple[int, int]:
        """Return the index of the strike with the largest change in ``lag_s`` seconds, and the change."""
        then = self._snapshots[-1 - lag_s * self._per_second][0]
        changes = list(map(sub, self._snapshots[-1][0], then))
        largest = max(max(changes), min(changes), key=abs)
        return changes.index(largest), largest


def _figures(strikes: list[int], profile: Profile, past: _Past) -> str:
    volume, interest = profile.by_volume, profile.by_open_interest
    columns = [past.texts(0), [_text(figure) for figure in interest], *(past.texts(lag) for lag in LAGS_S)]
    rows = ",".join(
        [
            f"[{strike},{vol},{oi},[{p1},{p5},{p10},{p15},{p30}]]"
            for strike, vol, oi, p1, p5, p10, p15, p30 in zip(strikes, *columns, strict=True)
        ]
    )
    changes = [past.largest_change(lag) for lag in (1, *LAGS_S)]
    max_priors = ",".join(f"[{strikes[index]},{_text(change)}]" for index, change in changes)
    return (
        f'"spot":{_text(round(profile.spot * 100))},"zero_gamma":{_text(_zero_gamma(strikes, volume))},'
        f'"major_pos_vol":{strikes[volume.index(max(volume))]},'
        f'"major_pos_oi":{strikes[interest.index(max(interest))]},'
        f'"major_neg_vol":{strikes[volume.index(min(volume))]},'
        f'"major_neg_oi":{strikes[interest.index(min(interest))]},"strikes":[{rows}],'
        f'"sum_gex_vol":{_text(sum(volume))},"sum_gex_oi":{_text(sum(interest))},'
        f'"delta_risk_reversal":{profile.risk_reversal},"max_priors":[{max_priors}]}}'
    )


def _zero_gamma(strikes: list[int], volume: list[int]) -> int:
    """Return where the running sum over strikes last turns positive, in hundredths; 0 if nowhere."""
    crossing = 0
    for (strike, before), (following, after) in pairwise(zip(strikes, accumulate(volume), strict=True)):
        if before < 0 < after:
            crossing = 100 * strike + 100 * (following - strike) * -before // (after - before)
    return crossing


def _text(hundredths: int) -> str:
    """Format a figure as the vendor does: integers without decimals, others with one or two."""
    whole, rest = divmod(hundredths, 100)
    return repr(hundredths / 100) if rest else str(whole)


def _write_records(
    out: BinaryIO, texts: Iterator[str], on_record: Callable[[], object] | None, *, is_array: bool
) -> None:
    between = "," if is_array else "\n"
    out.write(b"[" if is_array else b"")
    for number, text in enumerate(texts):
        out.write(f"{between if number else ''}{text}".encode())
        if on_record is not None:
            on_record()
    out.write(b"]" if is_array else b"\n")


def file_name(day: date, ticker: str, endpoint: str, suffix: str = ".json") -> str:
    """Return the vendor's name for a day's file."""
    return f"{day}_{ticker}_classic_{endpoint}{suffix}"


def _named(path: Path | None) -> dict[str, Any]:
    try:
        name = parse_source_name(path.name if path else "")
    except ValueError:
        return {}
    parsed = {"ticker": name.ticker, "endpoint": name.endpoint, "day": name.trading_day}
    return {field: value for field, value in parsed.items() if value is not None}


def main() -> None:
    """Write the day that the arguments describe."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator.generator",
        description="Write one trading day; ticker, endpoint and day default to those in the file name.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--ticker")
    parser.add_argument("--endpoint")
    parser.add_argument("--day", type=date.fromisoformat)
    for option in ("--snapshots", "--strikes", "--seed", "--per-second"):
        parser.add_argument(option, type=int)
    parser.add_argument("--out", type=Path, help="the file; by default the vendor's name, in this folder")
    out = (options := vars(parser.parse_args())).pop("out", None)
    try:
        day = Day(**_named(out) | options)
        path = out or Path(day.file_name)
        summary = day.write(path)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"{path}: {summary.snapshots} snapshots, {summary.strike_rows} strike rows, {summary.bytes} bytes")


if __name__ == "__main__":
    main()
