"""What a connection to the broker identifies itself with."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.bus.credentials import connect_options, password_file
from shared.errors import CannotStart
from shared.process.settings import Settings


def test_the_user_is_the_service_and_its_password_is_read_for_every_connection(tmp_path: Path) -> None:
    file = password_file(tmp_path / "data" / "secrets", "fetcher")
    file.parent.mkdir(parents=True)
    options = connect_options(Settings(data_dir=tmp_path / "data"), "fetcher")
    assert options["user"] == "fetcher"
    assert options["inbox_prefix"] == "_INBOX_fetcher"
    for password in ("first", "second"):
        file.write_text(f"{password}\n")
        assert options["password"]() == password


def test_settings_go_before_the_file(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, nats_user="someone", nats_password=SecretStr("secret"))
    options = connect_options(settings, "fetcher")
    assert (options["user"], options["password"]()) == ("someone", "secret")


def test_a_user_in_the_url_goes_before_the_settings() -> None:
    options = connect_options(Settings(nats_url="nats://me:mine@127.0.0.1:1"), "fetcher")
    assert "user" not in options
    assert "password" not in options


def test_a_broker_without_users_is_asked_without_a_password(tmp_path: Path) -> None:
    assert connect_options(Settings(data_dir=tmp_path), "fetcher")["password"]() == ""


def test_a_missing_certificate_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="GEXLAKE_NATS_CA_FILE"):
        connect_options(Settings(nats_ca_file=tmp_path / "none.pem"), "fetcher")
