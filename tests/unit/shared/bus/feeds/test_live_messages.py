"""The messages of FEED, against their golden JSON (never edited once released)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from shared.bus.feeds.chain_messages import Chain, ChainStrike
from shared.bus.feeds.live_messages import (
    LiveMessage,
    Snapshot,
    SnapshotPart,
    Strike,
    Webhook,
    decode,
    encode,
    encoded,
    encoded_snapshot,
    live_chain,
    live_snapshot,
    live_webhook,
)
from shared.errors import MalformedMessage
from tests.support.repository import ROOT

RECEIVED = datetime(2025, 11, 14, 15, 0, 0, 250_000, tzinfo=UTC)
SNAPSHOT = Snapshot(
    ticker="SPX",
    endpoint="gex_zero",
    timestamp=1_763_132_400_000,
    part=SnapshotPart.SNAPSHOT,
    spot_price=6734.11,
    zero_gamma=6712.5,
    net_gex=-1250.75,
    min_dte=0,
    sec_min_dte=3,
    major_pos_vol=6750.0,
    major_pos_oi=6800.0,
    major_neg_vol=6700.0,
    major_neg_oi=6600.0,
    sum_gex_vol=171_258.5,
    sum_gex_oi=51_521.25,
    delta_risk_reversal=0.118,
    max_priors=[[6740, 170_979.75], [6735, 1128.5]],
    call_wall_candidate1_pct=1.5,
    call_wall_candidate2_pct=2.5,
    put_wall_candidate1_pct=-1.5,
    put_wall_candidate2_pct=-2.5,
    strikes=[Strike(6730.0, -228.25, -86.5, [-240.5, None, 0]), Strike(6735.0, 44.25)],
)
WEBHOOK = Webhook(
    topic="option_trades_super_algo",
    topic_symbol="SPX",
    event="new_msg",
    payload={"option_chain_id": "SPXW251114C06750000", "price": "2.80"},
    source_ip="192.0.2.7",
    user_agent="Mozilla/5.0",
)
CHAIN = Chain(
    snapshot_id=UUID("0b8f7a52-51a8-4c2e-9d1e-6a3f52f7a001"),
    market_symbol="SPX",
    timestamp=1_763_132_400_000,
    data_quality_score=0.96,
    strikes=[
        ChainStrike(6730.0, 1250, 980, 310, 12, 12.4, 12.8, 9.5, 9.75, 0.0042, 0.51, -1.5, 2.25),
        ChainStrike(6735.0, 0, 15),
    ],
    job_id=UUID("5b0cf1b6-6e0c-5bd6-9d35-3cf2f5a4f0d2"),
)
MESSAGES: dict[str, LiveMessage] = {
    "gex.feed.v1.snapshot": live_snapshot(SNAPSHOT, RECEIVED),
    "gex.feed.v1.webhook": live_webhook(WEBHOOK, RECEIVED),
    "gex.feed.v1.chain": live_chain(CHAIN, RECEIVED),
}
GOLDEN = ROOT / "tests" / "golden" / "v1"


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_message_and_its_golden_json_are_the_same(kind: str) -> None:
    golden = (GOLDEN / f"{kind}.json").read_bytes()
    assert decode("gex.any", golden) == MESSAGES[kind]
    assert msgspec.json.decode(encode(MESSAGES[kind])) == msgspec.json.decode(golden)


def test_every_golden_message_of_the_feed_is_read() -> None:
    assert {path.stem for path in GOLDEN.glob("gex.feed.*.json")} == set(MESSAGES)


def test_the_same_content_has_the_same_id_whenever_it_comes() -> None:
    later = RECEIVED + timedelta(minutes=1)
    assert live_snapshot(SNAPSHOT, later).id == MESSAGES["gex.feed.v1.snapshot"].id
    other_score = msgspec.structs.replace(CHAIN, data_quality_score=0.8)
    assert live_chain(other_score, later).id == MESSAGES["gex.feed.v1.chain"].id
    other_client = msgspec.structs.replace(WEBHOOK, source_ip="192.0.2.8", user_agent=None)
    assert live_webhook(other_client, later).id == MESSAGES["gex.feed.v1.webhook"].id


def test_another_content_has_another_id() -> None:
    majors = msgspec.structs.replace(SNAPSHOT, part=SnapshotPart.MAJORS)
    assert live_snapshot(majors, RECEIVED).id != MESSAGES["gex.feed.v1.snapshot"].id
    fewer = msgspec.structs.replace(CHAIN, strikes=CHAIN.strikes[:1])
    assert live_chain(fewer, RECEIVED).id != MESSAGES["gex.feed.v1.chain"].id


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[1", b'{"type": "gex.feed.v2.snapshot"}', b"\xff\xfe", b'{"type": 3}', b"NaN"]
)
def test_anything_else_is_a_malformed_message(data: bytes) -> None:
    with pytest.raises(MalformedMessage, match=r"gex\.feed\.gex\.SPX"):
        decode("gex.feed.gex.SPX", data)


def test_a_snapshot_that_is_encoded_once_is_the_same_message() -> None:
    message = live_snapshot(SNAPSHOT, RECEIVED)
    assert encoded_snapshot(SNAPSHOT, RECEIVED) == encoded(message)
    assert encoded(message) == (message.id, message.subject, encode(message))
