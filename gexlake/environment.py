"""Settings from the environment (prefix ``GEXLAKE_``) and ``.env``; those that say where the broker is."""

from __future__ import annotations

import os
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class UnusableSetting(Exception):
    """A setting that cannot be used; ``str()`` names it as the environment spells it, and says why."""


def aliases(*names: str) -> AliasChoices:
    """Read a setting from the first of ``names`` that the environment has.

    Names without ``GEXLAKE_`` are those of the first system, and come last.
    """
    return AliasChoices(*names)


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A list written with commas."""


class BrokerSettings(BaseSettings):
    """Where NATS answers: what services and the command line both need to know."""

    model_config = SettingsConfigDict(
        env_prefix="GEXLAKE_",
        env_file=".env",
        # compose.yaml passes settings on as ${NAME:-}: an empty one means "not set".
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_by_name=True,
    )

    nats_port: int = Field(4222, ge=1, le=65535)
    nats_url: str = ""
    """Where NATS answers; by default the loopback port ``nats_port``."""

    @property
    def broker_url(self) -> str:
        """The URL to connect to."""
        return self.nats_url or f"nats://127.0.0.1:{self.nats_port}"


S = TypeVar("S", bound=BaseSettings)


def load(settings_type: type[S], **overrides: Any) -> S:
    """Read settings.

    Args:
        settings_type: which.
        overrides: values from command-line flags, by field name; None means not given.

    Raises:
        UnusableSetting: a value is out of range or of the wrong form.
    """
    try:
        return settings_type(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        name = _spelled(".".join(str(part) for part in problem["loc"][:1]), settings_type)
        reason = problem["msg"].removeprefix("Value error, ")
        raise UnusableSetting(f"the setting {name} is unusable: {reason}") from error


def _spelled(name: str, settings_type: type[BaseSettings]) -> str:
    """Return a field's name as the environment spells it."""
    for field in settings_type.model_fields.values():
        alias = field.validation_alias
        if isinstance(alias, AliasChoices) and name in alias.choices:
            return str(next((choice for choice in alias.choices if os.environ.get(str(choice))), name))
    return name if name.isupper() else f"GEXLAKE_{name.upper()}"
