// SPDX-License-Identifier: Apache-2.0
// The agent's own lease as a pure machine: how long the agent may believe in its session (PROTOCOL T3).

import { compareRefs, type SessionRef } from "./numbered-ref.ts";

/**
 * States of the lease:
 * - `none`: there was no acknowledgement in any session yet. Out: `sessionOpened`.
 * - `open`: a session is open. The lease is valid until `validUntilMs`; past it, the session may still
 *   be renewed by the acknowledgement of a younger beat, since the control plane acknowledges only
 *   beats of sessions that it holds open. Out: `sessionEnded`, or a newer session opened.
 * - `ended`: the session is over. Nothing revives it. Out: a newer session opened.
 *
 * Invariants (each with a test):
 * - LEASE-1: it is valid only less than AL after the sending of an acknowledged beat, or of the hello
 *   that opened the session.
 * - LEASE-2: the end of validity never moves back within a session while the lease time stays.
 * - LEASE-3: an ended session is never valid again, whatever arrives late.
 * - LEASE-4: an acknowledgement of another session, or of a beat that was never sent, changes nothing.
 * - LEASE-5: a shorter lease time holds at once, a longer one from the acknowledgement of a beat that
 *   was sent under it (T4: while it changes, the agent judges by the smaller).
 *
 * All instants are of one local monotonic clock that also counts suspend (runtime's `Clock`).
 */
export type Lease =
  | { readonly kind: "none" }
  | {
      readonly kind: "open";
      readonly session: SessionRef;
      /** AL in ms that is judged by now. */
      readonly leaseMs: number;
      /** AL in ms as the newest settings say; differs from `leaseMs` until a beat echoed it. */
      readonly wantedLeaseMs: number;
      /** When the youngest acknowledged beat was sent. */
      readonly countedFromMs: number;
      /** First instant at which it is no longer valid. */
      readonly validUntilMs: number;
      /** Greatest acknowledged sequence; 0 when only the session was opened. */
      readonly acknowledged: number;
      /** Beats that were sent and not acknowledged, oldest first. */
      readonly sent: readonly SentBeat[];
    }
  | { readonly kind: "ended"; readonly session: SessionRef; readonly reason: string };

export interface SentBeat {
  readonly sequence: number;
  readonly sentAtMs: number;
  /** AL of the settings whose version the beat echoed. */
  readonly leaseMs: number;
}

export type LeaseEvent =
  | {
      /** Welcome with a new session. `sentAtMs`: when its hello was sent. */
      readonly kind: "sessionOpened";
      readonly session: SessionRef;
      readonly sentAtMs: number;
      readonly leaseMs: number;
    }
  | { readonly kind: "beatSent"; readonly sequence: number; readonly sentAtMs: number }
  | { readonly kind: "beatAcknowledged"; readonly session: SessionRef; readonly sequence: number }
  | { readonly kind: "settingsChanged"; readonly leaseMs: number }
  | { readonly kind: "sessionEnded"; readonly session: SessionRef; readonly reason: string };

/** Before the first session. */
export const noLease: Lease = { kind: "none" };

/** A beat that waits longer than any lease cannot renew one; so many are remembered at most. */
const mostSentBeats = 64;

/** The lease after one event. It has no effects: whoever holds it asks `leaseRemainingMs`. */
export function stepLease(lease: Lease, event: LeaseEvent): Lease {
  switch (event.kind) {
    case "sessionOpened":
      return openLease(lease, event);
    case "beatSent":
      return noteSent(lease, event);
    case "beatAcknowledged":
      return acknowledge(lease, event);
    case "settingsChanged":
      if (lease.kind !== "open") return lease;
      return withLeaseTime(lease, event.leaseMs);
    case "sessionEnded":
      return lease.kind === "open" && compareRefs(event.session, lease.session) === 0
        ? { kind: "ended", session: lease.session, reason: event.reason }
        : lease;
    default:
      return event satisfies never;
  }
}

type OpenLease = Extract<Lease, { kind: "open" }>;

function openLease(lease: Lease, event: Extract<LeaseEvent, { kind: "sessionOpened" }>): Lease {
  // A welcome that comes late, for a session not newer than the one known, revives nothing (LEASE-3).
  if (lease.kind !== "none" && compareRefs(event.session, lease.session) <= 0) return lease;
  return {
    kind: "open",
    session: event.session,
    leaseMs: event.leaseMs,
    wantedLeaseMs: event.leaseMs,
    countedFromMs: event.sentAtMs,
    validUntilMs: event.sentAtMs + event.leaseMs,
    acknowledged: 0,
    sent: [],
  };
}

function noteSent(lease: Lease, event: Extract<LeaseEvent, { kind: "beatSent" }>): Lease {
  if (lease.kind !== "open") return lease;
  const { sequence, sentAtMs } = event;
  const sent = [...lease.sent, { sequence, sentAtMs, leaseMs: lease.wantedLeaseMs }];
  return { ...lease, sent: sent.slice(-mostSentBeats) };
}

function acknowledge(
  lease: Lease,
  event: Extract<LeaseEvent, { kind: "beatAcknowledged" }>,
): Lease {
  if (lease.kind !== "open" || compareRefs(event.session, lease.session) !== 0) return lease;
  // What was acknowledged before is no longer in `sent`, so a late older acknowledgement finds no beat.
  // The acknowledgement names the greatest sequence taken; beats and accepts share one sequence, so
  // the beat that it stands for is the youngest sent with a sequence up to it.
  const beat = lease.sent.findLast((candidate) => candidate.sequence <= event.sequence);
  if (beat === undefined) return lease;
  const countedFromMs = beat.sentAtMs;
  const leaseMs = Math.min(beat.leaseMs, lease.wantedLeaseMs);
  return {
    ...lease,
    leaseMs,
    countedFromMs,
    validUntilMs: countedFromMs + leaseMs,
    acknowledged: event.sequence,
    sent: lease.sent.filter((candidate) => candidate.sequence > event.sequence),
  };
}

function withLeaseTime(lease: OpenLease, wantedLeaseMs: number): Lease {
  const leaseMs = Math.min(lease.leaseMs, wantedLeaseMs);
  return { ...lease, leaseMs, wantedLeaseMs, validUntilMs: lease.countedFromMs + leaseMs };
}

/** True when the agent may act on its session now (S4). */
export function leaseValid(lease: Lease, nowMs: number): boolean {
  return lease.kind === "open" && nowMs < lease.validUntilMs;
}

/** Time that the lease still holds, 0 when it does not: what the runner is told. */
export function leaseRemainingMs(lease: Lease, nowMs: number): number {
  return lease.kind === "open" ? Math.max(0, lease.validUntilMs - nowMs) : 0;
}

/** Time since the youngest acknowledged beat (or the opening) was sent; undefined without a session. */
export function leaseAgeMs(lease: Lease, nowMs: number): number | undefined {
  return lease.kind === "open" ? nowMs - lease.countedFromMs : undefined;
}
