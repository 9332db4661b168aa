"""Find names in the environment or ``.env`` that look like settings and are none.

``python setting_names.py compose.yaml`` is what the container ``settings`` of compose.yaml runs: Docker
Compose passes to the services only what compose.yaml names, so no service sees the other names of ``.env``.
This container has them all, and no network. It imports the standard library alone: its image does not have
this folder.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Final

_PREFIXES: Final = ("GEXLAKE_", "GEXBOT_")
_NAME: Final = re.compile(r"\$\{((?:GEXLAKE|GEXBOT|MASSIVE|POLYGON)_[A-Z0-9_]+)")
_COMMAND_LINE: Final = frozenset(
    {"GEXLAKE_URL", "GEXLAKE_API_KEY", "GEXLAKE_TO_API_KEY", "GEXLAKE_CA_FILE", "GEXLAKE_NATS_URL"}
)
"""Settings of ``gexlake``, which runs on the host."""
NOT_IN_CONTAINERS: Final = frozenset(
    {
        "GEXLAKE_DATA_DIR",
        "GEXLAKE_LOG_DIR",
        "GEXLAKE_NATS_PASSWORD",
        "GEXLAKE_NATS_USER",
        "GEXLAKE_PARQUET_DIR",
        "GEXLAKE_PUBLISHED_HOST",
        "GEXLAKE_SECRETS_DIR",
        "GEXLAKE_STAGING_DIR",
    }
)
"""Settings of services that compose.yaml fixes or does not pass on."""
_OF_THE_FIRST_SYSTEM: Final = frozenset(
    {
        "CORS_ORIGINS",
        "DATA_DIR",
        "IMPORT_TIMEOUT",
        "LOG_LEVEL",
        "MAX_IMPORT_ATTEMPTS",
        "PARQUET_DIR",
        "RATE_LIMIT_GEX",
        "RATE_LIMIT_HISTORY",
        "RATE_LIMIT_WEBHOOK",
        "STAGING_DIR",
    }
)
"""Names without the prefix that are accepted."""
_OF_TESTS: Final = frozenset({"GEXLAKE_BENCH_DIR", "GEXLAKE_FAILPOINT", "GEXLAKE_TEST_READER"})


def passed_on(compose: str) -> frozenset[str]:
    """Return the names of settings that the text of compose.yaml passes on."""
    return frozenset(_NAME.findall(compose))


def known(compose: str) -> frozenset[str]:
    """Return the names of all settings with a prefix of gexlake's, by the text of compose.yaml."""
    return passed_on(compose) | _COMMAND_LINE | NOT_IN_CONTAINERS | _OF_TESTS


def unknown(names: Iterable[str], settings: frozenset[str]) -> list[str]:
    """Return a line for each name that has such a prefix and is no setting, with the closest that is."""
    wrong = sorted(name for name in names if name.startswith(_PREFIXES) and name not in settings)
    return [_line(name, settings) for name in wrong]


def without_prefix(names: Iterable[str], settings: frozenset[str]) -> list[str]:
    """Return a line for each name of ``.env`` that lacks the prefix of a setting.

    The environment may have such names for other programs; those of one word are too common to tell.
    """
    lacking = (name for name in names if "_" in name and name not in settings | _OF_THE_FIRST_SYSTEM)
    wrong = sorted(name for name in lacking if f"GEXLAKE_{name}" in settings)
    return [f"{name} is no setting: did you mean GEXLAKE_{name}?" for name in wrong]


def _line(name: str, settings: frozenset[str]) -> str:
    close = get_close_matches(name, sorted(settings), n=1, cutoff=0.6)
    hint = f"did you mean {close[0]}?" if close else "docs/architecture.md lists the settings"
    return f"{name} is no setting: {hint}"


def main() -> None:
    """Exit with status 1 and a line for each unknown name; warn of those that containers do not get."""
    compose = Path(sys.argv[1]).read_text()
    for name in sorted(name for name in NOT_IN_CONTAINERS if os.environ.get(name)):
        print(f"gexlake: {name} has no effect on containers", file=sys.stderr)  # noqa: T201 (for the log)
    settings = known(compose)
    # Of the environment of this container, all that has a setting's name is from .env.
    if wrong := unknown(os.environ, settings) + without_prefix(os.environ, settings):
        sys.exit("\n".join(f"gexlake: {line}; correct or remove it in .env" for line in wrong))


if __name__ == "__main__":
    main()
