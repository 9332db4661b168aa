"""A vendor that has every ticker, endpoint and day: one generated file with other tickers and times.

    with ManyDays(folder, Day(snapshots=300)) as vendor:
        url = vendor.url_of("2024-03-01_ES_SPX_classic_gex_one.json")

``python -m simulator.many_days --folder DIR --snapshots N`` runs it as a program. Files in the folder are
served as they are.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import BinaryIO, Final

from shared.gexbot.source_name import parse_source_name
from shared.gexbot.trading_day import bounds_ms
from simulator.generator import Day
from simulator.vendor import Vendor, serve_until_stopped

_VARIES: Final = re.compile(rb'(?<={"timestamp":)(\d+),"ticker":"[^"]+"')


class ManyDays(Vendor):
    """A vendor with a file for each name of the vendor's grammar, made when it is requested.

    Args:
        folder: of files that are served as they are.
        pattern: the day that the others are copies of.
        host: where to listen.
        port: where to listen; 0 takes a free port.
    """

    def __init__(self, folder: Path, pattern: Day, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(folder, host, port)
        self._start_s = bounds_ms(pattern.day)[0] // 1000
        with TemporaryDirectory() as scratch:
            written = Path(scratch) / pattern.file_name
            pattern.write(written)
            content = written.read_bytes()
        parts = _VARIES.split(content)
        self._texts, self._times_s = parts[::2], [int(time_s) for time_s in parts[1::2]]

    def open(self, name: str) -> BinaryIO | None:
        """Open a file of the folder, or make the day that the name names."""
        return super().open(name) or self._make(name)

    def _make(self, name: str) -> BinaryIO | None:
        try:
            named = parse_source_name(name)
        except ValueError:
            return None
        if named.trading_day is None or named.ticker is None:
            return None
        by_s = bounds_ms(named.trading_day)[0] // 1000 - self._start_s
        file = TemporaryFile()  # noqa: SIM115 (the caller closes it)
        ticker = named.ticker.encode()
        file.write(self._texts[0])
        for time_s, text in zip(self._times_s, self._texts[1:], strict=True):
            file.write(b'%d,"ticker":"%s"%s' % (time_s + by_s, ticker, text))
        file.flush()
        return file


def main() -> None:
    """Serve every day until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m simulator.many_days", description=main.__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--snapshots", type=int, default=300)
    parser.add_argument("--strikes", type=int, default=Day.strikes)
    options = parser.parse_args()
    pattern = Day(snapshots=options.snapshots, strikes=options.strikes)
    serve_until_stopped(ManyDays(options.folder, pattern))


if __name__ == "__main__":
    main()
