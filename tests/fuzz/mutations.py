"""Change a file token by token, so that most results are still nearly JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Final

from tests.support.files.corrupt_files import BAD_NUMBERS, GARBAGE, OUT_OF_DAY_TIMES
from tests.support.files.history_files import ESCAPED, NUMBERS, TRAPS

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[-+.\w]+|[\[\]{},:]|[ \t\r\n]+|.', re.DOTALL)
_NAMES: Final = (b'"timestamp"', b'"ticker"', b'"spot"', b'"strikes"', b'"max_priors"', b'"min_dte"', b'"x"')
_WORDS: Final = (
    *(text.encode() for text in (*NUMBERS, *BAD_NUMBERS, *OUT_OF_DAY_TIMES, *ESCAPED.values())),
    *(b'"' + text.strip('"').replace('"', '\\"').encode() + b'"' for text in TRAPS),
    *_NAMES,
    *(
        b"null",
        b"[]",
        b"{}",
        b"[[1,2]]",
        b"[1,2,3,[4,null]]",
        b'"NQ_NDX"',
        b'"nq_ndx"',
        b"1763130601",
        b"\n",
        b" ",
    ),
    *GARBAGE,
)
_CLOSING: Final = {b"[": b"]", b"{": b"}"}
Tokens = list[bytes]


def mutated(content: bytes, source: Random, largest: int) -> bytes:
    """Return the content with one to four changes.

    Args:
        content: of a file.
        source: of chance.
        largest: how many bytes may come out.
    """
    tokens = _TOKEN.findall(content)
    for _ in range(source.choice((1, 1, 2, 4))):
        change = source.choice(_CHANGES)
        tokens = change(tokens or [b"[", b"]"], source)
    return b"".join(tokens)[:largest]


def _replace_a_token(tokens: Tokens, source: Random) -> Tokens:
    at = source.randrange(len(tokens))
    return [*tokens[:at], source.choice(_WORDS), *tokens[at + 1 :]]


def _replace_a_scalar(tokens: Tokens, source: Random) -> Tokens:
    places = [at for at, token in enumerate(tokens) if token[:1] not in b"[]{},: \t\r\n"]
    if not places:
        return tokens
    at = source.choice(places)
    return [*tokens[:at], source.choice(_WORDS), *tokens[at + 1 :]]


def _insert_a_token(tokens: Tokens, source: Random) -> Tokens:
    at = source.randrange(len(tokens) + 1)
    return [*tokens[:at], source.choice((*_WORDS, b",", b":", b"[", b"]", b"{", b"}")), *tokens[at:]]


def _drop_a_token(tokens: Tokens, source: Random) -> Tokens:
    at = source.randrange(len(tokens))
    return tokens[:at] + tokens[at + 1 :]


def _add_a_pair(tokens: Tokens, source: Random) -> Tokens:
    return _after_an_opening(
        tokens, source, b"{", [source.choice(_NAMES), b":", *_some_value(tokens, source)]
    )


def _add_an_element(tokens: Tokens, source: Random) -> Tokens:
    return _after_an_opening(tokens, source, b"[", _some_value(tokens, source))


def _after_an_opening(tokens: Tokens, source: Random, opening: bytes, added: Tokens) -> Tokens:
    places = [at for at, token in enumerate(tokens) if token == opening]
    if not places:
        return tokens
    at = source.choice(places) + 1
    comma = [] if tokens[at : at + 1] == [_CLOSING[opening]] else [b","]
    return [*tokens[:at], *added, *comma, *tokens[at:]]


def _copy_a_value(tokens: Tokens, source: Random) -> Tokens:
    """Put a whole value in place of another."""
    values = _values(tokens)
    if len(values) < 2:
        return tokens
    (first, last), (start, end) = source.sample(values, 2)
    return tokens[:first] + tokens[start:end] + tokens[last:]


def _repeat_a_value(tokens: Tokens, source: Random) -> Tokens:
    values = _values(tokens)
    if not values:
        return tokens
    start, end = source.choice(values)
    between = source.choice(([b","], [b","], [b"\n"], []))
    return [*tokens[:end], *between, *tokens[start:end], *tokens[end:]]


def _drop_a_value(tokens: Tokens, source: Random) -> Tokens:
    values = _values(tokens)
    if not values:
        return tokens
    start, end = source.choice(values)
    return tokens[:start] + tokens[end + (tokens[end : end + 1] == [b","]) :]


def _some_value(tokens: Tokens, source: Random) -> Tokens:
    values = _values(tokens)
    if values and source.random() < 0.5:
        start, end = source.choice(values)
        return tokens[start:end]
    return [source.choice(_WORDS)]


def _values(tokens: Tokens) -> list[tuple[int, int]]:
    """Return from where to where the arrays and objects go that are closed."""
    found, opened = [], []
    for at, token in enumerate(tokens):
        if token in _CLOSING:
            opened.append((at, _CLOSING[token]))
        elif opened and token == opened[-1][1]:
            found.append((opened.pop()[0], at + 1))
    return found


_CHANGES: Final[tuple[Callable[[Tokens, Random], Tokens], ...]] = (
    _replace_a_token,
    _replace_a_scalar,
    _replace_a_scalar,
    _insert_a_token,
    _drop_a_token,
    _add_a_pair,
    _add_an_element,
    _copy_a_value,
    _repeat_a_value,
    _repeat_a_value,
    _drop_a_value,
)
