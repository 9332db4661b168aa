"""Run the fetcher: ``python -m services.fetcher``."""

from __future__ import annotations

from functools import partial

from services.fetcher.settings import FetcherSettings
from services.fetcher.wiring import serve
from shared import logs
from shared.errors import CannotStart
from shared.runtime import fail, run
from shared.settings import load


def main() -> None:
    """Read the settings and fetch until SIGTERM."""
    try:
        settings = load(FetcherSettings)
    except CannotStart as error:
        fail(error)
    logs.configure("fetcher", settings.log_level, settings.log_dir)
    run(partial(serve, settings))


if __name__ == "__main__":
    main()
