"""Routes on the hot path: FastAPI describes them, and calls them without solving dependencies.

For a small request, FastAPI's dependencies take longer than everything else that intake does for it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request, returns a response, and is called as it is.

    Dependencies of the route and its router appear in OpenAPI and are not called: the endpoint checks the key
    itself, by ``client_of``.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint."""
        return self.endpoint
