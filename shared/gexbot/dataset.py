"""The dataset of option gamma exposure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from shared.dataset import Dataset, SourceFile
from shared.gexbot.partition import ENDPOINTS, Partition, normalize_ticker
from shared.gexbot.source_name import read_source_url, vendor_name
from shared.gexbot.symbols import underlying_of
from shared.gexbot.vendor_api import NO_REDIRECT


def _file_names(job: SourceFile) -> Iterator[str]:
    """Yield the name in the job's URL, and those that the vendor's API gives to its file."""
    with suppress(ValueError):
        yield read_source_url(urlsplit(job.base_url)).name
    if job.trading_day is not None:
        partition = Partition(job.ticker, job.endpoint, job.trading_day)
        yield from (vendor_name(partition, ending) for ending in (".json", ".json.gz"))


GEXBOT: Final = Dataset(
    name="gexbot",
    endpoints=ENDPOINTS,
    check_ticker=normalize_ticker,
    tables={"snapshots": "gex_snapshots", "strike_rows": "gex_strikes"},
    file_names=_file_names,
    urls_of=lambda base_url: (base_url, base_url + NO_REDIRECT),
    symbol_of=underlying_of,
)
