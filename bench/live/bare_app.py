"""A bare FastAPI app to compare intake with: it publishes each body to JetStream by itself, or not at all.

python -m bench.live.bare_app --port 8000 --nats nats://127.0.0.1:4222
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import nats
import uvicorn
from fastapi import FastAPI, Request
from nats.js import JetStreamContext

from shared.bus import subjects
from shared.bus.streams import STREAMS

SUBJECT: Final = "gex.feed.bare"
_FEED: Final = next(stream for stream in STREAMS if stream.name == subjects.FEED)


def create_app(nats_url: str | None) -> FastAPI:
    """Return an app that answers after the publish ack, or at once without a broker."""
    publisher: list[JetStreamContext] = []

    @asynccontextmanager
    async def connected(_: FastAPI) -> AsyncIterator[None]:
        if nats_url is None:
            yield
            return
        client = await nats.connect(nats_url)
        js = client.jetstream()
        await js.add_stream(replace(_FEED, subjects=(SUBJECT,)).config(1))
        publisher.append(js)
        yield
        await client.close()

    app = FastAPI(lifespan=connected)

    @app.post("/gex")
    @app.post("/uw")
    async def post(request: Request) -> dict[str, str]:
        body = await request.body()
        for js in publisher:
            await js.publish(SUBJECT, body)
        return {"status": "success"}

    return app


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m bench.live.bare_app", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--nats", metavar="URL", help="without it, bodies are read and dropped")
    options = parser.parse_args()
    uvicorn.run(create_app(options.nats), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
