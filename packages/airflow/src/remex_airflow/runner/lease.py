# SPDX-License-Identifier: Apache-2.0
"""The agent's lease as its runner knows it, and the two checks that stand before every start (S4)."""

from __future__ import annotations

from dataclasses import dataclass

from .proto_json import PairId

DEFAULT_STOP_S = 6.0


@dataclass(frozen=True)
class Lease:
    """The newest lease: the session it belongs to and when it ends, by the lease clock."""

    session: PairId
    ends_at_s: float
    stop_s: float


@dataclass(frozen=True)
class Refusal:
    """Why a start was not followed: the contract's stable word and one line for people."""

    reason: str
    message: str


def renew(
    lease: Lease | None, session: PairId, remaining_s: float, stop_s: float, at_s: float
) -> Lease | None:
    """Return the lease after a renewal that arrived at `at_s`; one of an older session changes nothing."""
    if lease is not None and session < lease.session:
        return lease
    return Lease(session, at_s + remaining_s, stop_s)


def check_start(
    lease: Lease | None, session: PairId, window_ends_at_s: float, now_s: float
) -> Refusal | None:
    """Decide whether an attempt may start now; None means that it may."""
    if now_s >= window_ends_at_s:
        late_s = now_s - window_ends_at_s
        return Refusal("window_passed", f"the confirm window passed {late_s:.3f} s ago")
    if lease is None:
        return Refusal("no_lease", "no lease has arrived yet")
    if lease.session != session:
        return Refusal("no_lease", f"the lease is of session {lease.session}, not of {session}")
    if now_s >= lease.ends_at_s:
        return Refusal(
            "no_lease", f"the lease of session {session} ended {now_s - lease.ends_at_s:.3f} s ago"
        )
    return None
