"""How intake refuses a replay over NATS: the code says whether to correct it or to send it again."""

from __future__ import annotations

import pytest

from services.intake.errors import NotFound, NotReady, Unprocessable
from services.intake.history.replay_service import _refusal
from shared.errors import BrokerUnavailable


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (NotFound("job_id", "not_found", "there is no job 7"), 404, "there is no job 7"),
        (Unprocessable("stage", "stage", "stage: it has none"), 400, "stage: it has none"),
        (NotReady("rebuilding", "intake reads the jobs"), 503, "intake reads the jobs"),
        (BrokerUnavailable("publish to JOBS"), 503, "publish to JOBS"),
        (KeyError("secret detail"), 500, "an unexpected error, which is in intake's log"),
    ],
)
def test_an_error_is_answered_with_a_code(error: Exception, code: int, text: str) -> None:
    refused = _refusal(error)
    assert refused.code == code
    assert text in str(refused)
    assert "secret detail" not in str(refused)
