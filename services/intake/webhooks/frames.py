"""Read the body of ``POST /uw``: who publishes what, in whichever form a client sends it.

    [join_ref, ref, topic, event, payload]      a frame of Phoenix, version 2 of its serializer
    [channel, payload]                          a frame of the vendor's official socket
    {topic | type | feed | kind, event, payload | data}     an object, which may be the payload itself

A JSON string that contains one of them is taken too. What the members of a frame do not say stays in the
payload: nothing of it is dropped but ``join_ref`` and ``ref``.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import msgspec

from services.intake.errors import BadRequest, Unprocessable

MAX_DEPTH: Final = 64
"""Of arrays and objects within one another."""
MAX_NAME_LENGTH: Final = 256
"""Of a topic and of an event."""

_TOPIC_KEYS: Final = ("topic", "type", "feed", "kind")
_PAYLOAD_KEYS: Final = ("payload", "data")
_FRAME_KEYS: Final = frozenset({"event", "ref", "join_ref"})
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_DECODER: Final = msgspec.json.Decoder()

IgnoredReason = Literal["heartbeat", "join_ack"]


class Frame(NamedTuple):
    """What a client posted.

    Args:
        topic: as it was sent, perhaps with a symbol after a colon; None for an object without one.
        event: the sender's name of the event, if there is one.
        payload: any JSON; the only member of ``{"data": …}`` stands for it.
    """

    topic: str | None
    event: str | None
    payload: Any


def read_frame(body: bytes) -> Frame:
    """Return what a body holds.

    Raises:
        BadRequest: it is no JSON.
        Unprocessable: it is neither a frame nor an object, or a member of the frame is unusable; the error
            names it.
    """
    value = _parse(body)
    if isinstance(value, str):
        value = _parse_inner(value)
    match value:
        case {}:
            return _of_object(value)
        case [_, _, topic, event, payload]:
            return Frame(_topic(topic), _event(event), _payload(payload))
        case [channel, payload]:
            return Frame(_topic(channel), None, _payload(payload))
        case [*members]:
            kind = f"an array of {len(members)}"
        case _:
            kind = "neither an array nor an object"
    message = (
        f"body: it is {kind}: send [join_ref, ref, topic, event, payload], [channel, payload] or an object"
    )
    raise Unprocessable("body", "frame", message)


def why_ignored(frame: Frame) -> IgnoredReason | None:
    """Return why nothing of a frame is stored; None for a frame that is.

    Replies of the socket to its client carry no data: to heartbeats (``phx_reply`` with status ok, and all on
    the topic ``phoenix``), and to a join of the official socket.
    """
    if frame.topic == "phoenix":
        return "heartbeat"
    match frame.payload:
        case {"status": "ok"} if frame.event == "phx_reply":
            return "heartbeat"
        case {"status": "ok", "response": {**response}, **rest} if not (response or rest or frame.event):
            return "join_ack"
    return None


def split_topic(topic: str | None) -> tuple[str | None, str | None]:
    """Return a topic without the symbol after its colon, and the symbol; None for what is not there."""
    if topic is None:
        return None, None
    name, colon, symbol = topic.partition(":")
    return name, symbol if colon else None


def _parse(text: bytes) -> Any:
    try:
        value = _DECODER.decode(text.removeprefix(_BYTE_ORDER_MARK))
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # msgspec's errors, and text that is not UTF-8
        reason = str(error).removeprefix("JSON is malformed: ")[:200]
        if isinstance(error, UnicodeError):
            reason = "it is not UTF-8 text"
        raise BadRequest("body", "json", f"the body is not JSON: {reason}") from None
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH and _is_deep(value):
        raise _too_deep()
    return value


def _parse_inner(text: str) -> Any:
    """Return what a JSON string contains: its text, if that is no JSON."""
    try:
        return _parse(text.encode())
    except BadRequest:
        return text


def _too_deep() -> BadRequest:
    message = f"the body is nested too deeply: more than {MAX_DEPTH} arrays and objects within one another"
    return BadRequest("body", "json", message)


def _is_deep(value: Any) -> bool:
    level = _containers([value])
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _containers(outer)]
    return bool(level)


def _containers(value: dict[str, Any] | list[Any]) -> list[Any]:
    members = value.values() if isinstance(value, dict) else value
    return [member for member in members if isinstance(member, dict | list)]


def _of_object(value: dict[str, Any]) -> Frame:
    event = value.get("event")
    if not isinstance(event, str):
        event = None
    topic_key = next((key for key in _TOPIC_KEYS if _is_name(value.get(key))), None)
    if topic_key is None:
        return Frame(None, _event(event), value)
    topic = _topic(value[topic_key], topic_key)
    payload_key = next((key for key in _PAYLOAD_KEYS if value.get(key) is not None), None)
    members = value.keys() - {topic_key, payload_key} - (_FRAME_KEYS if event is not None else frozenset())
    payload = value if payload_key is None or members else _unwrapped(value[payload_key])
    return Frame(topic, _event(event), payload)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _topic(value: Any, field: str = "topic") -> str:
    if not _is_name(value):
        raise Unprocessable(field, "string", f"{field}: it must be a string that is not empty")
    return _short(field, value)


def _event(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise Unprocessable("event", "string", "event: it must be a string or null")
    return value and _short("event", value)


def _short(field: str, name: str) -> str:
    if len(name) > MAX_NAME_LENGTH:
        message = f"{field}: it has {len(name)} characters; {MAX_NAME_LENGTH} are allowed"
        raise Unprocessable(field, "length", message)
    return name


def _payload(value: Any) -> Any:
    if not isinstance(value, dict):
        raise Unprocessable("payload", "object", "payload: it must be an object: the last member of a frame")
    return _unwrapped(value)


def _unwrapped(payload: Any) -> Any:
    return payload["data"] if isinstance(payload, dict) and payload.keys() == {"data"} else payload
