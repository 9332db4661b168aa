"""The two source settings: read from the environment, refused by name."""

from __future__ import annotations

import pytest

from shared.errors import CannotStart
from shared.process.settings import load
from shared.sources.settings import SourceSettings


def test_the_vendor_is_allowed_by_default_and_no_local_folder_is() -> None:
    gate = load(SourceSettings).gate
    gate.check("https://hist.gex.bot/a.json?sig=x")
    gate.check("https://hist.gexbot.com/a.json?sig=x")
    gate.check("https://nfagexbotresearch.blob.core.windows.net/day/a.json?sig=x")
    gate.check("https://app.gexbot.com/hist/NDX/classic/gex_zero")
    gate.check("https://app.gexbot.com/chart/NDX/classic/gex_zero")
    for host in ("api.gex.bot", "gexbot.com", "app.gexbot.com", "account.blob.core.windows.net"):
        with pytest.raises(ValueError, match="is not allowed"):
            gate.check(f"https://{host}/a.json?sig=x")
    with pytest.raises(ValueError, match="outside the allowed folders"):
        gate.check("file:///srv/a.json")


def test_both_settings_are_comma_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEXLAKE_ALLOWED_SOURCES", "https://hist.gex.bot/, http://127.0.0.1:9/x")
    monkeypatch.setenv("GEXLAKE_LOCAL_SOURCE_DIRS", "/srv/gex")
    gate = load(SourceSettings).gate
    gate.check("http://127.0.0.1:9/x/a.json")
    gate.check("file:///srv/gex/a.json")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("GEXLAKE_ALLOWED_SOURCES", "http://hist.gex.bot/", "plain http"),
        ("GEXLAKE_ALLOWED_SOURCES", "https://10.0.0.1/", "a private address"),
        ("GEXLAKE_ALLOWED_SOURCES", "https://hist.gex.bot/,https://*.net/", "two labels at least"),
        ("GEXLAKE_ALLOWED_SOURCES", "ftp://hist.gex.bot/", "not the start of an http"),
        ("GEXLAKE_LOCAL_SOURCE_DIRS", "relative/folder", "not an absolute folder"),
        ("GEXLAKE_VENDOR_API", "api.gex.bot", "not the start of an http"),
        ("GEXLAKE_VENDOR_API", "https://u:p@api.gex.bot/", "no user, query or fragment"),
        ("GEXLAKE_VENDOR_API", "https://api.gex.bot/v2/?noredirect", "no user, query or fragment"),
        ("GEXLAKE_VENDOR_API", "http://api.gex.bot/v2", "plain http"),
        ("GEXLAKE_VENDOR_API", "https://*.gex.bot/v2", "wildcard"),
    ],
)
def test_an_unfit_entry_stops_the_start_and_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, rule: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(CannotStart, match=f"{name}.*{rule}") as refused:
        load(SourceSettings)
    assert "Value error" not in str(refused.value)
