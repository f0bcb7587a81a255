"""Sending a world to a running service over HTTP, paced and patient."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from riskgraph.core.errors import Forbidden, RiskgraphError, Unauthenticated, Unavailable
from riskgraph.eval.worlds import DECISIONS, Event
from riskgraph.ports import Progress

RETRIED = frozenset({409, 429, 503})
ATTEMPTS = 20
TIMEOUT_S = 30.0
PAUSE_S = 1.0
EXAMPLES = 5


@dataclass
class Tally:
    """What the service answered."""

    statuses: dict[str, Counter[str]] = field(default_factory=dict)
    verdicts: Counter[str] = field(default_factory=Counter)
    degraded: int = 0
    replayed: int = 0
    stored: int = 0
    retries: int = 0
    behind_s: float = 0.0
    seconds: float = 0.0
    refused: int = 0
    refusals: list[str] = field(default_factory=list)

    def note(self, event: Event, answer: Any) -> None:
        """Count one final answer."""
        kind = "decisions" if event.path == DECISIONS else "outcomes"
        self.statuses.setdefault(kind, Counter())[str(answer.status_code)] += 1
        if answer.status_code >= 300:
            self.refused += 1
            if len(self.refusals) < EXAMPLES:
                self.refusals.append(f"{answer.status_code} on {event.path}: {_message(answer)}")
            return
        said = answer.json()
        if kind == "outcomes":
            self.stored += bool(said["stored"])
            return
        self.verdicts[said["verdict"]] += 1
        self.degraded += bool(said["degraded"])
        self.replayed += answer.headers.get("idempotent-replayed") == "true"

    def to_json(self) -> dict[str, Any]:
        return {
            "seconds": round(self.seconds, 3),
            "statuses": {kind: dict(sorted(c.items())) for kind, c in sorted(self.statuses.items())},
            "verdicts": dict(sorted(self.verdicts.items())),
            "degraded": self.degraded,
            "replayed": self.replayed,
            "outcomes_stored": self.stored,
            "retries": self.retries,
            "behind_s": round(self.behind_s, 3),
            "refusals": self.refusals,
        }


def _message(answer: Any) -> str:
    """The message of the wire's error shape, or the start of whatever came."""
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return str(answer.text)[:200]


class Sender:
    """Sends events at their pace, a bounded number at once.

    Args:
        client: An ``httpx2.AsyncClient`` with the service's address and the key.
        speed: Times real time; 0 is as fast as answers come.
        in_flight: Calls at once; 1 keeps the order of time strictly.
        totals: Events to come by path, for the progress.
    """

    def __init__(
        self, client: Any, speed: float, in_flight: int, totals: dict[str, int], progress: Progress
    ) -> None:
        self.tally = Tally()
        self._client, self._speed, self._progress, self._totals = client, speed, progress, totals
        self._slots = asyncio.Semaphore(in_flight)
        self._done: Counter[str] = Counter()
        self._open_from = 0.0

    async def send(self, events: Iterable[Event]) -> Tally:
        """Send all events, in order of time.

        Raises:
            Unavailable: No service answers there, or it stopped answering.
            Unauthenticated: It does not know the key.
            Forbidden: The key may not send these.
        """
        await self._check_ready()
        began, first = time.monotonic(), None
        try:
            async with asyncio.TaskGroup() as group:
                for event in events:
                    first = event.at if first is None else first
                    await self._until(began + (event.at - first) / self._speed if self._speed else began)
                    await self._slots.acquire()
                    group.create_task(self._deliver(event))
        except ExceptionGroup as failures:
            # Not except*: what that raises may come out as a group again, which no caller expects.
            ours = failures.subgroup(RiskgraphError)
            if ours is None:
                raise
            raise ours.exceptions[0] from None
        self.tally.seconds = time.monotonic() - began
        return self.tally

    async def _check_ready(self) -> None:
        import httpx2

        try:
            answer = await self._client.get("/readyz")
        except httpx2.TransportError as failure:
            raise Unavailable(
                f"no service answers at {self._client.base_url}: {failure}; start one with riskgraph serve"
            ) from None
        if answer.status_code != 200:
            raise Unavailable(f"the service is not ready: {answer.text[:200]}")

    async def _until(self, due: float) -> None:
        wait = due - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        elif self._speed:
            self.tally.behind_s = max(self.tally.behind_s, -wait)

    async def _deliver(self, event: Event) -> None:
        try:
            answer = await self._answered(event)
        finally:
            self._slots.release()
        if answer.status_code == 401:
            raise Unauthenticated(f"the service refused the key: {_message(answer)}")
        if answer.status_code == 403:
            raise Forbidden(f"the service refused the key: {_message(answer)}")
        self.tally.note(event, answer)
        self._done[event.path] += 1
        name = event.path.rpartition("/")[2]
        self._progress(name, self._done[event.path], self._totals[event.path])

    async def _answered(self, event: Event) -> Any:
        """The first answer that is not "later"; the last one if it stays at that."""
        import httpx2

        answer = failure = None
        for attempt in range(ATTEMPTS):
            self.tally.retries += attempt > 0
            # Whoever was told to wait, waits for all: the limit is the key's, not the call's.
            await asyncio.sleep(max(0.0, self._open_from - time.monotonic()))
            try:
                answer = await self._client.post(event.path, content=event.body)
            except httpx2.TransportError as broken:
                answer, failure = None, broken
                self._pause(PAUSE_S)
                continue
            if answer.status_code not in RETRIED:
                return answer
            self._pause(_retry_after(answer))
        if answer is None:
            raise Unavailable(f"the service stopped answering: {failure}")
        return answer

    def _pause(self, seconds: float) -> None:
        self._open_from = max(self._open_from, time.monotonic() + seconds)


def _retry_after(answer: Any) -> float:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdigit() else PAUSE_S


def send_events(
    events: Iterable[Event],
    url: str,
    key: str,
    *,
    speed: float,
    in_flight: int,
    totals: dict[str, int],
    progress: Progress,
) -> Tally:
    """Send events to the service at ``url``.

    Raises:
        Unavailable, Unauthenticated, Forbidden: As :meth:`Sender.send`.
    """
    import httpx2

    async def run() -> Tally:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        # Straight to the address that was given: no proxy of the environment in between.
        async with httpx2.AsyncClient(
            base_url=url, headers=headers, timeout=TIMEOUT_S, trust_env=False
        ) as client:
            return await Sender(client, speed, in_flight, totals, progress).send(events)

    return asyncio.run(run())
