"""Run the fetcher: ``python -m services.fetcher``."""

from __future__ import annotations

from services.fetcher.settings import FetcherSettings
from services.fetcher.wiring import serve
from shared.process.runtime import run


def main() -> None:
    """Fetch until SIGTERM or Ctrl-C; exit 1 with one line when the fetcher cannot start."""
    run("fetcher", FetcherSettings, serve)


if __name__ == "__main__":
    main()
