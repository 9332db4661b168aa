"""Secrets in text are redacted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.process import redaction
from shared.process.redaction import HIDDEN, redact, redact_json, redact_values

URL = "https://hist.gex.bot/2025-11-14_NQ_NDX_classic_gex_zero.json"
secrets = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='\\"<>'), min_size=8, max_size=60
).filter(lambda text: text not in URL and text not in HIDDEN)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{URL}?sig=abc&e=1", f"{URL}?{HIDDEN}"),
        (f"GET {URL}?sig=abc failed", f"GET {URL}?{HIDDEN} failed"),
        (f"{URL}#abc", f"{URL}?{HIDDEN}"),
        (f'"{URL}?sig=abc", "{URL}?sig=def"', f'"{URL}?{HIDDEN}", "{URL}?{HIDDEN}"'),
        (f"<{URL}?sig=abc>", f"<{URL}?{HIDDEN}>"),
        (URL, URL),
        ("HTTPS://h/f?sig=abc", f"HTTPS://h/f?{HIDDEN}"),
        ("http://127.0.0.1:9000/f.json?x", f"http://127.0.0.1:9000/f.json?{HIDDEN}"),
        ("https://h?sig=abc", f"https://h?{HIDDEN}"),
        ("https://me:abc@h/f", "https://h/f"),
        ("https://me:a@bc@h/f", "https://h/f"),
        ("nats://me:abc@broker:4222", "nats://broker:4222"),
        ("Authorization: Bearer abc.def-ghi", f"Authorization: Bearer {HIDDEN}"),
        ("bearer gexbot_custom_abc123", f"bearer {HIDDEN}"),
        ("key gexbot_custom_abc123 is wrong", f"key gexbot_custom_{HIDDEN} is wrong"),
        ("/f.json?sig=abc&e=1", f"/f.json?sig={HIDDEN}&e=1"),
        ("?X-Amz-Signature=abc&X-Amz-Date=1", f"?X-Amz-Signature={HIDDEN}&X-Amz-Date={HIDDEN}"),
        ("token=abc, api_key=def", f"token={HIDDEN} api_key={HIDDEN}"),
        ("X-API-Key: abc", f"X-API-Key: {HIDDEN}"),
        ("{'x-api-key': 'abc'}", f"{{'x-api-key': '{HIDDEN}'}}"),
        ("unexpected token: }", "unexpected token: }"),
        ("ratio 3?4 at NQ_NDX gex_zero", "ratio 3?4 at NQ_NDX gex_zero"),
    ],
)
def test_secrets_are_redacted_and_the_rest_is_unchanged(text: str, shown: str) -> None:
    assert redact(text) == shown


@given(secrets, st.sampled_from(["", "x=1&", "sig="]), st.sampled_from(["", " and more", '"', "\n"]))
def test_a_secret_in_a_urls_query_never_survives(secret: str, before: str, after: str) -> None:
    assert secret not in redact(f"fetching {URL}?{before}{secret}{after}")
    assert secret not in redact(repr(f"{URL}?{before}{secret}") + after)


@given(st.from_regex(r"[A-Za-z0-9:@!$&*+,;=._~-]{8,40}", fullmatch=True))
def test_a_password_in_a_url_never_survives(password: str) -> None:
    for scheme in ("https", "nats", "tls", "ftp"):
        assert password not in redact(f"connecting to {scheme}://someone:{password}@host/path")


@given(st.text())
def test_redacting_twice_changes_nothing(text: str) -> None:
    assert redact(redact(text)) == redact(text)


def test_json_is_redacted_in_all_its_texts_and_secret_fields() -> None:
    value = {"links": [f"see {URL}", 1, None], "Token": {"a": 1}, "x": {"api_key": "k"}}
    assert redact_json(value) == {
        "links": [redact(f"see {URL}"), 1, None],
        "Token": HIDDEN,
        "x": {"api_key": HIDDEN},
    }


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "X-API-Key",
        "apiKey",
        "api_keys",
        "access_token",
        "sig",
        "x-amz-signature",
        "Set-Cookie",
    ],
)
def test_a_field_whose_name_is_that_of_a_secret_is_redacted(name: str) -> None:
    assert redact_json({name: "S3CRET", "design": "kept"}) == {name: HIDDEN, "design": "kept"}


def test_the_secrets_of_the_process_are_redacted_wherever_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_named", set())
    redact_values(["s3cret-of-this-process", "short"])
    assert redact("the key s3cret-of-this-process is too short") == f"the key {HIDDEN} is too short"
