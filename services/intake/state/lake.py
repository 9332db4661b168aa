"""What the lake holds, asked of the importer over NATS: it alone can open the database."""

from __future__ import annotations

from datetime import date
from typing import Final, Literal

from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.micro.request import ERROR_HEADER
from pydantic import AwareDatetime, BaseModel, ValidationError

from services.intake.errors import NotReady
from shared.bus import subjects
from shared.bus.connection import Bus, translate_errors
from shared.bus.messages import Frozen
from shared.gexbot.partition import Partition

ANSWER_WITHIN_S: Final = 4.5


class DaysRequest(Frozen):
    """Which partitions: every day of every ticker and endpoint."""

    tickers: tuple[str, ...]
    endpoints: tuple[str, ...]
    days: tuple[date, ...]


class KnownDay(BaseModel):
    """What the importer knows of a partition."""

    ticker: str
    endpoint: str
    trading_day: date
    standing: Literal["held", "no_data"]
    at: AwareDatetime
    """Since when (UTC)."""

    @property
    def partition(self) -> Partition:
        """Which partition it is."""
        return Partition(self.ticker, self.endpoint, self.trading_day)


class _Answer(BaseModel):
    days: tuple[KnownDay, ...]
    truncated: Literal[False]


async def ask_days(
    bus: Bus, request: DaysRequest, answer_within_s: float = ANSWER_WITHIN_S
) -> tuple[KnownDay, ...]:
    """Return the partitions that the lake holds, and those for which the vendor had no data.

    Raises:
        BrokerUnavailable: the connection was lost.
        NotReady: the importer does not answer, or not in these words.
    """
    content = request.model_dump_json().encode()
    with translate_errors("ask the importer which days it holds"):
        try:
            message = await bus.client.request(subjects.lake("days"), content, timeout=answer_within_s)
        except NoRespondersError as error:
            raise _not_ready("is it running?") from error
        except NatsTimeoutError as error:
            raise _not_ready(f"waited {answer_within_s:g} s") from error
    return _read(message)


def _read(message: Msg) -> tuple[KnownDay, ...]:
    problem = (message.headers or {}).get(ERROR_HEADER)
    if problem:
        raise _not_ready(problem)
    try:
        return _Answer.model_validate_json(message.data).days
    except ValidationError as error:
        raise _not_ready("its answer cannot be read: is it of this version?") from error


def _not_ready(why: str) -> NotReady:
    return NotReady(
        "importer",
        f"the importer does not say which days the lake holds ({why}): nothing is queued, try again",
    )
