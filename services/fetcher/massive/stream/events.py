"""Decode frames of the vendor's websocket: arrays of events, of which minute bars and statuses are used."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from services.fetcher.massive.decode import RejectedBar
from shared.massive.bars import Bar, fault_of

MINUTE: Final = "AM"
_STATUS: Final = "status"


class StreamBar(NamedTuple):
    """A minute of a symbol as it was streamed; a later one of the same minute replaces it."""

    symbol: str
    bar: Bar


class Status(NamedTuple):
    """What the vendor says of the connection."""

    status: str
    message: str


@dataclass
class Frame:
    """The events of a frame."""

    bars: list[StreamBar] = field(default_factory=list)
    rejected: list[RejectedBar] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    """How many events of other types there were, by type."""
    subscribed: frozenset[str] = frozenset()
    """Symbols that are subscribed to from this frame on."""


class _Kind(msgspec.Struct):
    ev: str
    status: str = ""
    message: str = ""


class _Minute(msgspec.Struct, gc=False):
    ev: str
    sym: str
    s: int
    o: float
    h: float
    l: float  # noqa: E741 (the vendor names it)
    c: float
    v: float
    vw: float | None = None
    n: int | None = None

    def bar(self) -> StreamBar:
        return StreamBar(self.sym, Bar(self.s, self.o, self.h, self.l, self.c, self.v, self.vw, self.n))


_ALL_MINUTES: Final = msgspec.json.Decoder(list[_Minute])
_MIXED: Final = msgspec.json.Decoder(list[msgspec.Raw])
_KIND: Final = msgspec.json.Decoder(_Kind)
_ONE_MINUTE: Final = msgspec.json.Decoder(_Minute)


def decode_frame(content: str | bytes) -> Frame:
    """Return the events of a frame; bars that are not correct are rejected.

    Raises:
        ValueError: it is no array of events.
    """
    frame = Frame()
    for event in _events(content, frame):
        if event.ev != MINUTE:
            frame.unknown[event.ev] += 1
            continue
        found = event.bar()
        fault = fault_of(found.bar)
        if fault:
            frame.rejected.append(
                RejectedBar(msgspec.json.encode(event).decode(), f"{found.symbol}: {fault}")
            )
        else:
            frame.bars.append(found)
    return frame


def _events(content: str | bytes, frame: Frame) -> list[_Minute]:
    try:
        return _ALL_MINUTES.decode(content)  # nearly every frame
    except msgspec.ValidationError:
        return [minute for raw in _MIXED.decode(content) if (minute := _event(raw, frame))]


def _event(raw: msgspec.Raw, frame: Frame) -> _Minute | None:
    kind = _KIND.decode(raw)
    if kind.ev == _STATUS:
        frame.statuses.append(Status(kind.status, kind.message))
    elif kind.ev != MINUTE:
        frame.unknown[kind.ev] += 1
    else:
        try:
            return _ONE_MINUTE.decode(raw)
        except msgspec.ValidationError as error:
            frame.rejected.append(RejectedBar(bytes(raw).decode(errors="replace")[:300], str(error)))
    return None
