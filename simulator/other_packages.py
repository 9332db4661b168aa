"""Trading days in the formats of the vendor's packages state and orderflow: see docs/formats.md."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any, ClassVar, Final

from shared.gexbot.partition import ENDPOINTS
from simulator.generator import Day
from simulator.market import Profile, profiles, strikes_around

GREEK_LAGS_S: Final = (60, 300, 600)
"""The ages of a Greek's three priors here; the vendor does not document them."""
_SUMS: Final = ("zcvr", "ocvr", "zgr", "ogr", "zvanna", "ovanna", "zcharm", "ocharm")
_SIDES: Final = ("agg_call_dex", "agg_put_dex", "net_call_dex", "net_put_dex")
_FLOWS: Final = {"dexoflow": "agg_dex", "gexoflow": "zgr", "cvroflow": "zcvr"}
_LATER_FLOWS: Final = {"one_dexoflow": "one_agg_dex", "one_gexoflow": "ogr", "one_cvroflow": "ocvr"}


@dataclass(frozen=True)
class StateGexDay(Day):
    """A day of GEX of the state package, whose records are like those of the classic one."""

    endpoint: str = "state_gex_zero"
    ENDPOINTS: ClassVar = tuple(name for name in ENDPOINTS if name.startswith("state_gex_"))

    @property
    def file_name(self) -> str:
        """The vendor's name for the file."""
        return f"{self.day}_{self.ticker}_{self.endpoint}.json"


@dataclass(frozen=True)
class GreekDay(StateGexDay):
    """A day of one Greek of the state package."""

    endpoint: str = "state_delta_zero"
    ENDPOINTS: ClassVar = tuple(
        name for name in ENDPOINTS if name.startswith("state_") and not name.startswith("state_gex_")
    )

    def _texts(self) -> Iterator[str]:
        strikes = strikes_around(self.ticker, self.strikes)
        length = GREEK_LAGS_S[-1] * self.per_second + 1
        past = deque([[0.0] * self.strikes] * length, maxlen=length)
        for number, profile in enumerate(_session(self, strikes)):
            figures = [figure / 100 for figure in profile.by_volume]
            past.append(figures)
            priors = zip(*(past[-1 - lag * self.per_second] for lag in GREEK_LAGS_S), strict=True)
            yield _text(
                self._timestamp(number),
                {
                    "ticker": self.ticker,
                    "spot": profile.spot,
                    "min_dte": 0,
                    "sec_min_dte": 1,
                    "major_positive": strikes[figures.index(max(figures))],
                    "major_negative": strikes[figures.index(min(figures))],
                    "major_long_gamma": round(profile.spot * 1.002, 2),
                    "major_short_gamma": round(profile.spot * 0.998, 2),
                    "mini_contracts": _contracts(strikes, profile.spot, figures, priors),
                },
            )


@dataclass(frozen=True)
class OrderflowDay(Day):
    """A day of orderflow: flat records of figures that build up from the open."""

    endpoint: str = "orderflow"
    ENDPOINTS: ClassVar = ("orderflow",)

    @property
    def file_name(self) -> str:
        """The vendor's name for the file."""
        return f"{self.day}_{self.ticker}_orderflow_orderflow.json"

    @property
    def strike_rows(self) -> int:
        """Zero: the records are flat."""
        return 0

    def _texts(self) -> Iterator[str]:
        source = Random(f"{self.seed} flow")
        strikes = strikes_around(self.ticker, self.strikes)
        built = dict.fromkeys((*_SUMS, *_SIDES, *(f"one_{side}" for side in _SIDES)), 0)
        before = _totals(built)
        for number, profile in enumerate(_session(self, strikes)):
            if number:
                built = {name: figure + round(source.gauss(0, 900)) for name, figure in built.items()}
            now = _totals(built)
            flows = {name: now[of] - before[of] for name, of in (_FLOWS | _LATER_FLOWS).items()}
            before = now
            levels = _levels(strikes[profile.by_volume.index(max(profile.by_volume))], profile.spot)
            figures = {name: figure / 100 for name, figure in {**now, **flows}.items()}
            record = {"ticker": self.ticker, "spot": profile.spot, **levels, **figures}
            yield _text(self._timestamp(number), record)


def _session(day: Day, strikes: list[int]) -> Iterator[Profile]:
    source = Random(f"{day.seed} {day.ticker} {day.endpoint} {day.day}")
    return islice(profiles(day.ticker, strikes, source, 1 / day.per_second), day.snapshots)


def _text(timestamp: str, record: dict[str, Any]) -> str:
    return f'{{"timestamp":{timestamp},' + json.dumps(record, separators=(",", ":"))[1:]


def _contracts(
    strikes: list[int], spot: float, figures: list[float], priors: Iterable[tuple[float, ...]]
) -> list[list[Any]]:
    """Return a row for each strike, with a volatility smile."""
    distances = [abs(strike / spot - 1) for strike in strikes]
    return [
        # The vendor leaves these null: only its volume categories hold put volumes.
        [strike, round(0.12 + 4 * distance, 3), round(0.13 + 5 * distance, 3), figure, list(old), None, None]
        for strike, distance, figure, old in zip(strikes, distances, figures, priors, strict=True)
    ]


def _totals(built: dict[str, int]) -> dict[str, int]:
    """Return the figures with the sums of calls and puts, in hundredths."""
    sums = {
        f"{expiry}{kind}_dex": built[f"{expiry}{kind}_call_dex"] + built[f"{expiry}{kind}_put_dex"]
        for expiry in ("", "one_")
        for kind in ("agg", "net")
    }
    return {**built, **sums}


def _levels(strike: int, spot: float) -> dict[str, float]:
    return {
        "z_mlgamma": round(spot * 1.001, 2),
        "z_msgamma": round(spot * 0.999, 2),
        "o_mlgamma": round(spot * 1.003, 2),
        "o_msgamma": round(spot * 0.997, 2),
        "zero_mcall": strike + 10,
        "zero_mput": strike - 10,
        "one_mcall": strike + 20,
        "one_mput": strike - 20,
    }
