"""The formats that can be imported.

To add one, write a module here and list it in ``FORMATS``; CONTRIBUTING.md has the other steps.
"""

from __future__ import annotations

from typing import Final

from services.importer.formats.classic import CLASSIC
from services.importer.formats.format import Format
from services.importer.formats.orderflow import ORDERFLOW
from services.importer.formats.state import STATE_GEX, STATE_GREEKS

FORMATS: Final = (CLASSIC, STATE_GEX, STATE_GREEKS, ORDERFLOW)


def format_of(endpoint: str) -> Format:
    """Return the format of an endpoint's files.

    Raises:
        KeyError: the endpoint has no format.
    """
    return _BY_ENDPOINT[endpoint]


_BY_ENDPOINT: Final = {endpoint: each for each in FORMATS for endpoint in each.endpoints}
