"""Routes on the hot path: FastAPI describes them, and is not asked to call them.

For a small request, FastAPI's dependencies, middleware and routing take longer than everything else that
intake does for it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request, returns a response, and is called as it is.

    Dependencies of the route and its router appear in OpenAPI and are not called: the endpoint checks the key
    itself, by ``client_of``.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint."""
        return self.endpoint


class DirectRoutes:
    """Call the endpoint of a ``DirectRoute`` at once, and pass on all other requests to ``app``.

    Args:
        app: the application; its exception handlers are used.
        routes: those of the application.
    """

    def __init__(self, app: FastAPI, routes: Iterable[BaseRoute]) -> None:
        self._app: Final[ASGIApp] = app
        self._handlers: Final[dict[Any, Any]] = app.exception_handlers
        self._direct: Final = {
            (method, route.path): route
            for route in routes
            if isinstance(route, DirectRoute)
            for method in route.methods or ()
        }
        self._of_app: Final = {"app": app, "router": app.router}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._direct.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope.update(self._of_app, route=route)
        request = Request(scope, receive, send)
        try:
            response = await route.endpoint(request)
        except Exception as error:
            kind = next(kind for kind in type(error).__mro__ if kind in self._handlers)
            response = await self._handlers[kind](request, error)
            if kind is Exception:
                await response(scope, receive, send)
                raise  # the server logs it
        await response(scope, receive, send)
