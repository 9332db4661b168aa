"""The developer's settings do not reach the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from pydantic import AliasChoices

from gexlake.cli.settings import CliSettings
from gexlake.environment import BrokerSettings
from services.fetcher.settings import FetcherSettings
from services.importer.settings import ImporterSettings
from services.intake.settings import IntakeSettings
from services.janitor.settings import JanitorSettings
from simulator.stack import is_setting
from tests.support.values import URL_KEY

KINDS: tuple[type[BrokerSettings], ...] = (
    CliSettings,
    FetcherSettings,
    ImporterSettings,
    IntakeSettings,
    JanitorSettings,
)


def names_of(kind: type[BrokerSettings]) -> set[str]:
    """Return every name that the environment may give a setting."""
    own = {f"GEXLAKE_{name.upper()}" for name in kind.model_fields}
    aliases = [field.validation_alias for field in kind.model_fields.values()]
    return own.union(
        *({str(name) for name in one.choices} for one in aliases if isinstance(one, AliasChoices))
    )


NAMES = sorted(set().union(*map(names_of, KINDS)))


@pytest.fixture(scope="module", autouse=True)
def _settings_of_a_developer() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in (*NAMES, "gexlake_port", "GEXLAKE_FAILPOINT"):
            patch.setenv(name, "nonsense")
        patch.setenv("IMPORTANT", "kept")
        yield


def test_no_setting_of_the_environment_reaches_a_test() -> None:
    assert {"PORT", "IMPORT_TIMEOUT", "RATE_LIMIT_GEX", "MAX_IMPORT_ATTEMPTS"} <= set(NAMES)
    settings = {
        name: value for name, value in os.environ.items() if "GEXLAKE" in name.upper() or name in NAMES
    }
    assert settings == {"GEXLAKE_URL_KEYS": URL_KEY}  # that of the tests
    assert os.environ["IMPORTANT"] == "kept"


def test_other_variables_are_no_settings() -> None:
    assert [name for name in ("PATH", "IMPORTANT", "HOSTNAME", "NATS_URL") if is_setting(name)] == []
