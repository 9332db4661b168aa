"""Random faults of every process of a stack: kills and pauses, drawn from a seed."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from simulator.process_groups import members
from simulator.stack import NATS, SERVICES, Stack

VICTIMS: Final = (NATS, *SERVICES)
_GAP_S: Final = (0.1, 1.4)
"""How long a process runs between two faults, once it has started."""
_STARTS_WITHIN_S: Final = 5.0
"""Then the next fault comes in any case: the broker may be away."""
_DOWN_S: Final = (0.0, 0.4)
_PAUSED_S: Final = (0.1, 2.8)
"""Some are longer than the ``ack_wait`` of the tests, so that work is delivered a second time."""
_RESTART_POLL_S: Final = 0.2
_START_POLL_S: Final = 0.1


class FaultKind(StrEnum):
    """What happens to a process."""

    KILL = "kill"
    PAUSE = "pause"


@dataclass(frozen=True)
class ProcessFault:
    """One fault: after ``gap_s`` without a fault, the process is gone or suspended for ``lasts_s``."""

    kind: FaultKind
    gap_s: float
    lasts_s: float


def plan_faults(source: random.Random, count: int) -> dict[str, list[ProcessFault]]:
    """Return ``count`` faults, for every process about as many, kills and pauses alike."""
    plan: dict[str, list[ProcessFault]] = {victim: [] for victim in VICTIMS}
    for number in range(count):
        kind = source.choice(tuple(FaultKind))
        lasts_s = source.uniform(*(_DOWN_S if kind is FaultKind.KILL else _PAUSED_S))
        plan[VICTIMS[number % len(VICTIMS)]].append(ProcessFault(kind, source.uniform(*_GAP_S), lasts_s))
    return plan


@dataclass
class Chaos:
    """Executes planned faults, those of different processes at the same time.

    A process that ends by itself is started again, as a container is.
    """

    stack: Stack
    plan: Mapping[str, list[ProcessFault]]
    done: Counter[tuple[str, FaultKind]] = field(default_factory=Counter)
    """How many faults there were, by process and kind."""
    exits: Counter[str] = field(default_factory=Counter)
    """How often a process ended by itself."""
    killed: list[int] = field(default_factory=list)
    """The process ids of the killed services."""
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def run(self) -> None:
        """Execute all faults; afterwards every process runs."""
        self._locks = {victim: asyncio.Lock() for victim in VICTIMS}
        await asyncio.gather(*(self._disturb(victim, faults) for victim, faults in self.plan.items()))

    def orphans(self) -> list[int]:
        """Return the processes that outlive the services that started them."""
        return [pid for leader in self.killed for pid in members(leader)]

    async def supervise(self) -> None:
        """Restart processes that end by themselves, until cancelled."""
        while True:
            await asyncio.sleep(_RESTART_POLL_S)
            for name in SERVICES:
                async with self._locks.setdefault(name, asyncio.Lock()):
                    process = self.stack.processes.get(name)
                    if process is not None and process.poll() is not None:
                        self.exits[name] += 1
                        await asyncio.to_thread(self.stack.start_service, name)

    async def _disturb(self, victim: str, faults: list[ProcessFault]) -> None:
        for fault in faults:
            await asyncio.sleep(fault.gap_s)
            async with self._locks[victim]:
                if fault.kind is FaultKind.KILL:
                    if victim in self.stack.processes:
                        self.killed.append(self.stack.processes[victim].pid)
                    await asyncio.to_thread(self.stack.kill, victim, alone=True)
                    await asyncio.sleep(fault.lasts_s)
                    await self._start(victim)
                else:
                    with self.stack.frozen(victim):
                        await asyncio.sleep(fault.lasts_s)
            self.done[victim, fault.kind] += 1

    async def _start(self, name: str) -> None:
        """Start a process and wait until it has work in hand or might have."""
        log = self.stack.log_of(name)
        before = log.stat().st_size
        await asyncio.to_thread(self.stack.start_service, name)
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while name != NATS and time.monotonic() < deadline:
            with log.open("rb") as file:
                file.seek(before)
                if b"service_started" in file.read():
                    return
            await asyncio.sleep(_START_POLL_S)
