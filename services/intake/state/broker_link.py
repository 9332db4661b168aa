"""The connection to the broker, which may not be there: HTTP is served all the same."""

from __future__ import annotations

from dataclasses import dataclass

from shared.bus.connection import Bus
from shared.errors import BrokerUnavailable


@dataclass
class BrokerLink:
    """Holds the bus once it is connected."""

    bus: Bus | None = None

    @property
    def is_up(self) -> bool:
        """Whether the broker is reachable as far as is known."""
        return self.bus is not None and self.bus.is_connected

    def require(self) -> Bus:
        """Return the bus.

        Raises:
            BrokerUnavailable: there is no connection now.
        """
        if self.bus is None or not self.bus.is_connected:
            raise BrokerUnavailable("connect to it")
        return self.bus
