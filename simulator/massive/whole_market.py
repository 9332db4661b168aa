"""A flat file as large as a real one.

``python -m simulator.massive.whole_market --day 2025-11-14 --out FILE`` writes it.

Few symbols are traded in every minute, most in a few. Prints how many rows and symbols the file has, as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
from datetime import date
from itertools import islice, product
from pathlib import Path
from string import ascii_uppercase
from typing import Final

from shared.massive.bars import END_MS
from simulator.massive.flat_files import FlatFiles
from simulator.massive.market import Market
from simulator.massive.rest import Rest

SYMBOLS: Final = 10_000
ROWS: Final = 1_500_000
_MINUTES: Final = 390 + 570 / 4
"""Minutes of a day in which a symbol is traded that is traded in every minute of the regular session."""
_SKEW: Final = 0.7
_LETTERS: Final = 4


def whole_market(symbols: int = SYMBOLS, rows: int = ROWS) -> Market:
    """Return a market of which a day's flat file has about so many rows.

    Raises:
        ValueError: so few symbols do not have so many rows.
    """
    if rows > symbols * _MINUTES:
        raise ValueError(f"{symbols} symbols have at most {int(symbols * _MINUTES)} rows a day")
    low, high = 0.0, float(symbols)
    for _ in range(50):
        scale = (low + high) / 2
        is_enough = sum(_share(rank, scale) for rank in range(symbols)) * _MINUTES >= rows
        low, high = (low, scale) if is_enough else (scale, high)
    names = islice(product(ascii_uppercase, repeat=_LETTERS), 0, None, 26**_LETTERS // symbols)
    # By a step that has no factor in common with their number, so that the ranks are mixed.
    ranks = (number * 7919 % symbols for number in range(symbols))
    return Market({"".join(name): _share(rank, high) for name, rank in zip(names, ranks, strict=False)})


def _share(rank: int, scale: float) -> float:
    return min(1.0, scale / math.pow(rank + 1, _SKEW))


def main() -> None:
    """Write the file that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m simulator.massive.whole_market")
    parser.add_argument("--day", type=date.fromisoformat, required=True)
    parser.add_argument("--symbols", type=int, default=SYMBOLS)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rest = Rest(whole_market(options.symbols, options.rows), now=lambda: END_MS)
    options.out.write_bytes(FlatFiles(rest).content(options.day))
    found = [rest.bars(symbol, options.day) for symbol in rest.market.symbols]
    print(json.dumps({"bars": sum(map(len, found)), "symbols": sum(map(bool, found))}))


if __name__ == "__main__":
    main()
