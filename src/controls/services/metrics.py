"""Prometheus figures of one service; a registry of its own, so that several services fit one process."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """Counts what operators watch; nothing in it names a person, an order or an amount."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._decisions = Counter(
            "controls_decisions", "Decisions by outcome", ["outcome"], registry=self.registry
        )
        self._outcomes = {
            name: self._decisions.labels(outcome=name)
            for name in ("permit", "review", "deny", "would_permit")
        }
        self._seconds = Histogram(
            "controls_request_seconds",
            "Time from request to answer",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._routes: dict[str, Histogram] = {}
        self._batch_size = Histogram(
            "controls_batch_size",
            "Commands committed together",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self._batch_seconds = Histogram(
            "controls_batch_seconds", "Time of one unit of work", buckets=_SECONDS, registry=self.registry
        )
        self.ledger_size = Gauge("controls_ledger_size", "Entries in the ledger", registry=self.registry)
        self.checkpoint_at = Gauge(
            "controls_checkpoint_timestamp_seconds",
            "When the last checkpoint was committed",
            registry=self.registry,
        )
        self.open_reviews = Gauge("controls_open_reviews", "Open review cases", registry=self.registry)
        self._release = Gauge(
            "controls_release_info", "The active release", ["digest"], registry=self.registry
        )

    def decision(self, outcome: str) -> None:
        self._outcomes[outcome].inc()

    def request(self, route: str, seconds: float) -> None:
        found = self._routes.get(route)
        if found is None:
            found = self._routes[route] = self._seconds.labels(route=route)
        found.observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        self._batch_size.observe(size)
        self._batch_seconds.observe(seconds)

    def release(self, digest: str) -> None:
        self._release.clear()
        self._release.labels(digest=digest).set(1)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
