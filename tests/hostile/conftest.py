"""A fetcher for hostile days, with time by hand; see the transport's tests."""

from __future__ import annotations

from tests.transport.conftest import clock, events, opened, wire

__all__ = ["clock", "events", "opened", "wire"]
