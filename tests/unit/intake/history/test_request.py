"""Reading the body of POST /gex_history_url."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gexlake.api.jobs import Priority
from services.intake.errors import Refused, Unprocessable
from services.intake.history.request import HistoryRequest, read_history_request
from shared.bus.envelope import Envelope, decode
from shared.bus.messages import JobRequested, job_id_of
from shared.massive.resources import FlatFile, MassiveUrls, MinuteBars
from shared.sources.gate import SourceGate
from tests.support.values import NOON, a_job, a_request

GATE = SourceGate.parse(
    ("https://hist.gex.bot/", "https://app.gexbot.com/hist/", "http://127.0.0.1:8000/"), ("/srv/gex",)
)
BASE = "https://hist.gex.bot/2025-11-14_NQ_NDX_classic_gex_zero.json"
URL = f"{BASE}?sig=S3CRET"
DAY = date(2025, 11, 14)
PLAIN_URL = "https://hist.gex.bot/a/day.json?sig=S3CRET"


def read(**body: Any) -> HistoryRequest:
    return read_history_request(body, GATE)


def refusal(**body: Any) -> Unprocessable:
    with pytest.raises(Unprocessable) as caught:
        read(**body)
    return caught.value


def test_the_url_alone_is_enough_when_the_file_name_tells_the_rest() -> None:
    asked = read(url=URL)
    assert (asked.ticker, asked.endpoint, str(asked.trading_day)) == ("NQ_NDX", "gex_zero", "2025-11-14")
    assert (asked.base_url, asked.url) == (BASE, URL)
    assert asked.job_id == job_id_of("NQ_NDX", "gex_zero", BASE)
    assert "S3CRET" not in repr(asked)


@pytest.mark.parametrize(
    "body",
    [
        {"url": PLAIN_URL, "ticker": "spx", "endpoint": "GEX_ONE"},
        {"download": PLAIN_URL, "symbol": "SPX", "kind": "gex_one"},
        {"a": "SPX", "b": "gex_one", "c": PLAIN_URL},
        {"metadata": {"underlying": "SPX"}, "payload": {"u": PLAIN_URL}, "data": {"e": "Gex_One"}},
        {"URL": PLAIN_URL, "Ticker": " SPX ", "endpoint": "gex_one", "priority": "low", "n": 5, "x": None},
        {"url": PLAIN_URL, "endpoint": "gex_one", "t": "SPX", "date": "2025-11-14"},
        {"symbol": "SPX", "feed": "one", "u": PLAIN_URL, "source": "browser"},
        {"t": "SPX", "gex_type": "gex_one", "kind": "history", "type": "gexbot", "u": PLAIN_URL},
        {"underlying": "SPX", "feed": "classic", "kind": "onegex", "type": "gex_one", "u": PLAIN_URL},
        {"page": "https://example.test/x.json", "u": PLAIN_URL, "t": "SPX", "e": "gex_one"},
    ],
)
def test_keys_are_loose(body: dict[str, Any]) -> None:
    asked = read(**body)
    assert (asked.ticker, asked.endpoint, asked.trading_day) == ("SPX", "gex_one", None)
    assert asked.url == PLAIN_URL


def test_a_path_of_the_web_application_is_a_job_and_each_day_of_it_another() -> None:
    base = "https://app.gexbot.com/hist/NDX/classic/gex_zero"
    asked = read(url=f"{base}?token=S3CRET")
    assert (asked.ticker, asked.endpoint, asked.trading_day, asked.base_url) == (
        "NDX",
        "gex_zero",
        None,
        base,
    )
    in_query, in_path = read(url=f"{base}?date=2026-07-01&token=S3CRET"), read(url=f"{base}/2026-07-01")
    assert in_query.job_id == in_path.job_id != asked.job_id
    assert in_query.base_url == in_path.base_url == f"{base}/2026-07-01"
    assert in_query.url == f"{base}?date=2026-07-01&token=S3CRET"
    assert str(in_query.trading_day) == "2026-07-01"


def test_tickers_of_an_index_and_its_future_are_not_merged() -> None:
    tickers = ["NDX", "NQ", "NQ_NDX", "SPX", "ES_SPX"]
    assert [read(url=PLAIN_URL, ticker=each, endpoint="gex_zero").ticker for each in tickers] == tickers


def test_the_ticker_of_the_file_name_beats_that_of_the_body() -> None:
    assert read(url=URL, ticker="SPX").ticker == "NQ_NDX"


@pytest.mark.parametrize(
    ("name", "asked", "endpoint"),
    [
        ("classic_gex_zero", "gex_full", "gex_zero"),
        ("classic_gex_zero", "state_delta_zero", "gex_zero"),
        ("state_gex_zero", "gex_zero", "state_gex_zero"),
        ("state_charm_one", "gex_zero", "state_charm_one"),
        ("state_charm_one", "orderflow", "state_charm_one"),
        ("orderflow_orderflow", "gex_zero", "orderflow"),
        ("orderflow", "gex_zero", "orderflow"),
    ],
)
def test_the_endpoint_of_the_file_name_beats_that_of_the_body(name: str, asked: str, endpoint: str) -> None:
    url = f"https://hist.gex.bot/2025-11-14_SPX_{name}.json.gz?sig=S3CRET"
    assert read(url=url, endpoint=asked).endpoint == read(url=url, type=asked).endpoint == endpoint
    assert read(url=url).endpoint == endpoint


@pytest.mark.parametrize(
    ("package", "asked", "endpoint"),
    [
        ("classic", "gex_one", "gex_one"),
        ("classic", "state_gex_one", "gex_one"),
        ("state", "gex_one", "state_gex_one"),
        ("state", "STATE_GAMMA_ONE", "state_gamma_one"),
    ],
)
def test_the_body_tells_the_category_when_the_file_name_tells_the_package_only(
    package: str, asked: str, endpoint: str
) -> None:
    assert read(url=f"https://hist.gex.bot/2025-11-14_SPX_{package}.json", e=asked).endpoint == endpoint


@pytest.mark.parametrize("endpoint", ["state_vanna_zero", "Orderflow"])
def test_endpoints_of_other_packages_are_found_under_any_key(endpoint: str) -> None:
    asked = read(a="SPX", b=endpoint, c=PLAIN_URL)
    assert (asked.ticker, asked.endpoint) == ("SPX", endpoint.lower())


def test_the_outer_object_beats_nested_ones() -> None:
    asked = read(
        url=PLAIN_URL, ticker="SPX", endpoint="gex_one", data={"ticker": "NDX", "endpoint": "gex_full"}
    )
    assert (asked.ticker, asked.endpoint) == ("SPX", "gex_one")


@pytest.mark.parametrize(
    "spelling",
    [
        "HTTPS://hist.gex.bot/2025-11-14_NQ_NDX_classic_gex_zero.json?sig=S3CRET",
        "https://HIST.gex.bot/2025-11-14_NQ_NDX_classic_gex_zero.json?sig=S3CRET",
        "https://hist.gex.bot:443/2025-11-14_NQ_NDX_classic_gex_zero.json?sig=S3CRET",
        f" {URL} ",
        f"{URL}#part",
    ],
)
def test_spellings_of_one_url_are_one_job(spelling: str) -> None:
    asked, plain = read(url=spelling), read(url=URL)
    assert (asked.job_id, asked.url_sha256) == (plain.job_id, plain.url_sha256)


def test_another_query_is_the_same_job_with_another_digest() -> None:
    asked, fresh = read(url=URL), read(url=f"{BASE}?sig=other")
    assert asked.job_id == fresh.job_id
    assert asked.url_sha256 != fresh.url_sha256


def test_local_and_loopback_sources_keep_their_shape() -> None:
    assert read(url="file:///srv/gex/2025-11-14_SPX_classic_gex_one.json").base_url == (
        "file:///srv/gex/2025-11-14_SPX_classic_gex_one.json"
    )
    assert read(url="http://127.0.0.1:8000/2025-11-14_SPX_classic_gex_one.json?x=1").base_url == (
        "http://127.0.0.1:8000/2025-11-14_SPX_classic_gex_one.json"
    )


@pytest.mark.parametrize(
    ("body", "field", "rule", "words"),
    [
        ({}, "url", "missing", "no field holds a URL"),
        ({"ticker": "SPX", "reason": URL}, "url", "missing", "no field holds a URL"),
        ({"url": 5}, "url", "string", "must be a string"),
        ({"url": "ftp://hist.gex.bot/x.json"}, "url", "allowed_source", "scheme is 'ftp'"),
        ({"url": "https://hist.gex.bot.evil.test/x.json"}, "url", "allowed_source", "must start with"),
        ({"url": "https://u:p@hist.gex.bot/x.json"}, "url", "allowed_source", "userinfo"),
        ({"url": "https://hist.gex.bot/../x.json"}, "url", "allowed_source", "climbs"),
        ({"url": "file:///etc/x.json"}, "url", "allowed_source", "outside the allowed folders"),
        ({"url": "hist.gex.bot/x.json"}, "url", "allowed_source", "the URL has no scheme"),
        ({"url": URL + "é"}, "url", "allowed_source", "no URL has"),
        ({"url": URL + "x" * 9000}, "url", "length", "at most 8192"),
        ({"url": "https://hist.gex.bot/x.csv"}, "url", "file_name", "plain file name"),
        ({"url": "https://hist.gex.bot/2025-02-30_SPX_classic.json"}, "url", "file_name", "not a day"),
        (
            {"url": "https://hist.gex.bot/2025-11-14_SPX_state_volume_one.json"},
            "url",
            "category",
            "delta_one",
        ),
        ({"url": "https://hist.gex.bot/2025-11-14_SPX_classic_delta_one.json"}, "url", "category", "gex_one"),
        (
            {"url": "https://hist.gex.bot/2025-11-14_SPX_classic.json", "e": "state_delta_one"},
            "endpoint",
            "package",
            "'state_delta_one' is no category of the file's package 'classic'",
        ),
        (
            {"url": PLAIN_URL, "e": "state_delta_two", "t": "SPX"},
            "endpoint",
            "endpoint",
            "is not an endpoint",
        ),
        ({"url": PLAIN_URL, "ticker": "SPX"}, "endpoint", "missing", "gex_zero, gex_one, gex_full"),
        ({"url": URL, "endpoint": "zero"}, "endpoint", "endpoint", "'zero' is not an endpoint"),
        ({"url": URL, "kind": "gex_max"}, "endpoint", "endpoint", "'gex_max' is not an endpoint"),
        ({"url": URL, "endpoint": ["gex_zero"]}, "endpoint", "string", "must be a string"),
        ({"url": PLAIN_URL, "endpoint": "gex_one"}, "ticker", "missing", "none is to be found"),
        ({"url": PLAIN_URL, "e": "gex_one", "a": "SPX", "b": "NDX"}, "ticker", "ambiguous", "'a', 'b'"),
        ({"url": PLAIN_URL, "e": "gex_one", "t": "S P"}, "t", "ticker", "is not a ticker"),
        ({"url": URL, "ticker": "../etc"}, "ticker", "ticker", "is not a ticker"),
        ({"url": URL, "symbol": "N'Q"}, "symbol", "ticker", "is not a ticker"),
        ({"url": URL, "underlying": "X" * 300}, "underlying", "ticker", "300 characters"),
        ({"url": URL, "ticker": 7}, "ticker", "string", "must be a string"),
        ({"url": URL, "priority": "urgent"}, "priority", "priority", "critical, high, medium, low"),
        ({"url": URL, "priority": 1}, "priority", "string", "must be a string"),
        ({"url": URL, "force": "yes", "reason": "r"}, "force", "boolean", "true or false"),
        ({"url": URL, "force": True}, "reason", "missing", "needs a reason"),
        ({"url": URL, "force": True, "reason": "  "}, "reason", "missing", "needs a reason"),
        ({"url": URL, "force": True, "reason": "r" * 501}, "reason", "length", "at most 500"),
    ],
)
def test_a_bad_field_is_named_with_its_rule(body: dict[str, Any], field: str, rule: str, words: str) -> None:
    error = refusal(**body)
    assert (error.field, error.rule) == (field, rule)
    assert words in str(error)
    assert str(error).startswith(f"{field}:")
    assert "S3CRET" not in str(error)


def test_options_are_read_and_never_mistaken_for_a_ticker() -> None:
    asked = read(url=PLAIN_URL, e="gex_one", t="SPX", priority="HIGH", force=True, reason="vendor fixed it")
    assert (asked.ticker, asked.priority, asked.force, asked.reason) == (
        "SPX",
        Priority.HIGH,
        True,
        "vendor fixed it",
    )


def test_a_reason_is_kept_without_the_signature_of_a_url_in_it() -> None:
    asked = read(url=URL, force=True, reason=f"same as {URL} of today")
    assert asked.reason == f"same as {BASE}?[redacted] of today"


def test_a_reason_without_force_is_not_kept() -> None:
    asked = read(url=URL, reason="just so")
    assert (asked.force, asked.reason) == (None, None)


def nested(levels: int) -> dict[str, Any]:
    return {"inner": nested(levels - 1)} if levels > 1 else {}


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        ({"volume": 1, "link": URL, "force": False}, {"volume": 1, "link": f"{BASE}?[redacted]"}),
        (nested(20), nested(20)),
        (nested(21), {}),
        (nested(600), {}),
        ({"note": "x" * 17_000}, {}),
        ("none", {}),
    ],
)
def test_rules_read_metadata_that_is_small_and_fits_a_message(metadata: Any, kept: dict[str, Any]) -> None:
    origin = read(url=URL, metadata=metadata).origin
    assert origin.metadata == kept
    event = JobRequested(
        job=a_job(), command_seq=1, url_sha256="0" * 64, request=a_request(metadata=dict(origin.metadata))
    )
    assert decode(event.subject, Envelope.seal(event, NOON).encode()).open(event.subject) == event


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(URL),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
_KEYS = st.sampled_from(
    ["url", "ticker", "symbol", "endpoint", "priority", "force", "reason", "metadata", "data"]
)


def outcome(body: dict[str, Any]) -> HistoryRequest | Refused:
    try:
        return read_history_request(body, GATE)
    except Refused as error:
        return error


@given(st.dictionaries(_KEYS | st.text(max_size=8), _JSON, max_size=6))
def test_any_object_is_read_or_refused_without_telling_the_signature(body: dict[str, Any]) -> None:
    found = outcome(body)
    if isinstance(found, Refused):
        assert found.field
        assert "S3CRET" not in str(found)
    else:
        assert found.base_url == BASE


def test_an_object_metadata_is_what_rules_read_without_options_and_secrets() -> None:
    metadata = {"link": URL, "volume": 61_000, "raw_body": "[]", "Priority": "low", "url": URL}
    asked = read(metadata=metadata)
    assert asked.demand.metadata == {"link": f"{BASE}?[redacted]", "volume": 61_000}
    assert read(url=URL, metadata={"note": "x" * 17_000}).demand.metadata == {}
    assert (asked.demand.market_symbol, asked.demand.endpoint) == ("NDX", "gex_zero")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (MassiveUrls().url_of(MinuteBars("AAPL", DAY, DAY)), "https://api.massive.com is not allowed"),
        (
            MassiveUrls("https://hist.gex.bot").url_of(MinuteBars("AAPL", DAY, DAY)),
            "must end in a plain file name",
        ),
        (MassiveUrls(files="https://hist.gex.bot").url_of(FlatFile(DAY)), "must end in a plain file name"),
    ],
)
def test_the_urls_of_minute_bars_are_no_files_of_history(url: str, problem: str) -> None:
    """Wherever they are: the registry of symbols has them fetched."""
    with pytest.raises(Unprocessable, match=problem):
        read_history_request({"url": url, "ticker": "AAPL", "endpoint": "gex_zero"}, GATE)
