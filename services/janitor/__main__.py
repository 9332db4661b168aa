"""Run the janitor: ``python -m services.janitor``."""

from __future__ import annotations

from functools import partial

from services.janitor.settings import JanitorSettings
from services.janitor.wiring import serve
from shared import logs
from shared.errors import CannotStart
from shared.runtime import fail, run
from shared.settings import load


def main() -> None:
    """Read the settings and do the duties until SIGTERM."""
    try:
        settings = load(JanitorSettings)
    except CannotStart as error:
        fail(error)
    logs.configure("janitor", settings.log_level, settings.log_dir)
    run(partial(serve, settings))


if __name__ == "__main__":
    main()
