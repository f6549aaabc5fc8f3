"""The states an attempt can be in; which may follow which is configuration (section 5, Decisions)."""

from __future__ import annotations

from sr_engine.configuration.lifecycle import OPEN, WITH_CSP, AttemptEvent, AttemptState, Lifecycle, Overlay

__all__ = ["OPEN", "WITH_CSP", "AttemptEvent", "AttemptState", "Lifecycle", "Overlay"]
