"""The errors of requests to the vendor's API.

    Terminal
    ├── NoHistory           it has no data for the day; the handler publishes NoData, not a failure
    ├── VendorKeyMissing    GEXBOT_API_KEY is not set
    ├── OtherApi            a SourceRefused: the job names another API than this fetcher uses
    ├── VendorRefused       400, 401 and other statuses that a retry will not change
    ├── VendorError         200, and an error in place of a signed URL
    └── NoSignedUrl         200, but without a signed URL
    Transient
    ├── VendorForbids       403: throttled, or not subscribed to
    ├── FreshUrlRejected    the source rejects a URL that the API has just signed
    └── LeaseTaken          Deferred: other fetches hold the rate lease of the same ticker and endpoint

No connection, 408, 425, 429 and 5xx are the errors of any source: see ``services.fetcher.errors``.
"""

from __future__ import annotations

from typing import Final

from services.fetcher.errors import SourceRefused
from shared.errors import Deferred, Terminal, Transient
from shared.gexbot.partition import Partition

_KEY_SETTING: Final = "GEXBOT_API_KEY"
_THEN: Final = "restart the fetcher and replay the job"
_WHY: Final = {
    400: "check the ticker, the endpoint and the day, which may be too long ago",
    401: f"it does not accept the key in {_KEY_SETTING}: set the right one, {_THEN}",
}
_SUBSCRIBED: Final = f"see what the key in {_KEY_SETTING} is subscribed to"


class NoHistory(Terminal):
    """The vendor has no data for a day; the text is the same for all such days of a ticker and endpoint.

    Args:
        host: the API, for the message.
        partition: the requested partition.
    """

    def __init__(self, host: str, partition: Partition) -> None:
        super().__init__(f"{host} has no data of {partition.ticker} {partition.endpoint} for this day")


class VendorKeyMissing(Terminal):
    """The API key is not set."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} is asked with a key, and there is none: set {_KEY_SETTING}, {_THEN}")


class OtherApi(SourceRefused):
    """The job of a backfill names another API than this fetcher uses; no key is sent.

    Args:
        named: the API of the job.
        used: the base of the API that this fetcher uses.
    """

    def __init__(self, named: str, used: str) -> None:
        super().__init__(
            f"its URL is of the API {named}, and this fetcher uses {used}: give intake and fetcher "
            "the same GEXLAKE_VENDOR_API, then ask for the backfill again"
        )


class VendorRefused(Terminal):
    """The vendor's API refuses the request, and would refuse a retry."""

    def __init__(self, host: str, partition: Partition, status: int) -> None:
        why = _WHY.get(status, "that is no answer which it is known to give")
        super().__init__(f"{host} answered {status} when asked for {partition}: {why}")


class VendorError(Terminal):
    """The vendor's API responds with an error and status 200, as for what is not subscribed to.

    Args:
        host: the API, for the message.
        partition: the requested partition.
        text: the error, without secrets.
    """

    def __init__(self, host: str, partition: Partition, text: str) -> None:
        super().__init__(
            f"{host} answered with an error when asked for {partition}: {text!r}: {_SUBSCRIBED}, "
            "then replay the job"
        )


class VendorForbids(Transient):
    """The vendor's API answers 403, which it also does to throttle.

    Args:
        host: the API, for the message.
        partition: the requested partition.
        text: the error in the response, without secrets; None if it has none.
    """

    def __init__(self, host: str, partition: Partition, text: str | None) -> None:
        said = f" ({text!r})" if text else ""
        super().__init__(
            f"{host} answered 403{said} when asked for {partition}: it throttles requests, or refuses this "
            f"one: {_SUBSCRIBED}"
        )


class NoSignedUrl(Terminal):
    """The vendor's API responds without a URL that can be fetched."""

    def __init__(self, host: str, what: str) -> None:
        super().__init__(f"{host} answered with {what}, not with the signed URL of a file")


class FreshUrlRejected(Transient):
    """The source rejects two URLs that the API has just signed."""

    def __init__(self, api_host: str, host: str) -> None:
        super().__init__(f"{host} rejects the URL that {api_host} has only just signed, twice")


class LeaseTaken(Deferred):
    """Other fetches hold the rate lease of the same ticker and endpoint."""

    retry_after_s = 2.0

    def __init__(self, ticker: str, endpoint: str) -> None:
        super().__init__(
            f"the vendor's API is asked about {ticker} {endpoint} once a second only, "
            "and others were before this: the fetch is tried again"
        )
