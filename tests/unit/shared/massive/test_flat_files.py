"""The names of flat files."""

from __future__ import annotations

from datetime import date

import pytest

from shared.massive.flat_files import day_of, key_of

KEY = "us_stocks_sip/minute_aggs_v1/2025/09/2025-09-05.csv.gz"


def test_a_day_has_one_key() -> None:
    assert key_of(date(2025, 9, 5)) == KEY
    assert day_of(KEY) == date(2025, 9, 5)


@pytest.mark.parametrize(
    "key",
    ["", "x", KEY.replace("minute", "day"), KEY.replace("/09/", "/10/"), KEY.replace("05", "32"), KEY[:-3]],
)
def test_another_key_is_refused(key: str) -> None:
    with pytest.raises(
        ValueError, match=r"expected the key|Invalid isoformat|day is out of range|day must be"
    ):
        day_of(key)
