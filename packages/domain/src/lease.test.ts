// SPDX-License-Identifier: Apache-2.0
// Proves the agent's lease: counted from the sending, never longer, never revived.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Lease,
  type LeaseEvent,
  leaseAgeMs,
  leaseRemainingMs,
  leaseValid,
  noLease,
  stepLease,
} from "./lease.ts";

const session = { epoch: 1_794_000_000, number: 1 };
const leaseMs = 20_000;

function after(...events: LeaseEvent[]): Lease {
  return events.reduce(stepLease, noLease);
}

const opened: LeaseEvent = { kind: "sessionOpened", session, sentAtMs: 100, leaseMs };
const beat = (sequence: number, sentAtMs: number): LeaseEvent => ({
  kind: "beatSent",
  sequence,
  sentAtMs,
});
const ack = (sequence: number, of = session): LeaseEvent => ({
  kind: "beatAcknowledged",
  session: of,
  sequence,
});

describe("PROTOCOL-T3: the agent's lease", () => {
  test("is not valid before a session", () => {
    expect(leaseValid(noLease, 0)).toBe(false);
    expect(leaseRemainingMs(noLease, 0)).toBe(0);
    expect(leaseAgeMs(noLease, 0)).toBeUndefined();
  });

  test("counts from when the hello was sent", () => {
    const lease = after(opened);
    expect(leaseValid(lease, 20_099)).toBe(true);
    expect(leaseValid(lease, 20_100)).toBe(false);
  });

  test("counts from when the acknowledged beat was SENT, however late the acknowledgement", () => {
    const lease = after(opened, beat(1, 10_000), ack(1));
    expect(leaseValid(lease, 29_999)).toBe(true);
    expect(leaseValid(lease, 30_000)).toBe(false);
    expect(leaseRemainingMs(lease, 29_000)).toBe(1_000);
    expect(leaseAgeMs(lease, 29_000)).toBe(19_000);
  });

  test("an acknowledgement of an accept's number stands for the youngest beat before it", () => {
    const lease = after(opened, beat(1, 5_000), beat(3, 12_000), ack(2));
    expect(leaseRemainingMs(lease, 5_000)).toBe(leaseMs);
  });

  test("an acknowledgement that comes after the lease of its beat has passed makes nothing valid", () => {
    const lease = after(opened, beat(1, 1_000), ack(1));
    expect(leaseValid(lease, 21_000)).toBe(false);
  });

  test("an older acknowledgement after a younger one changes nothing", () => {
    const younger = after(opened, beat(1, 1_000), beat(2, 2_000), ack(2));
    expect(stepLease(younger, ack(1))).toBe(younger);
  });

  test("LEASE-3: an ended session is not revived by what arrives late", () => {
    const ended = after(opened, beat(1, 1_000), {
      kind: "sessionEnded",
      session,
      reason: "lease_expired",
    });
    expect(stepLease(ended, ack(1))).toBe(ended);
    expect(stepLease(ended, opened)).toBe(ended);
    expect(leaseValid(ended, 1_001)).toBe(false);
  });

  test("a newer session counts anew; the end of an older one does not end it", () => {
    const next = { ...session, number: 2 };
    const lease = after(
      opened,
      { kind: "sessionEnded", session, reason: "superseded" },
      { kind: "sessionOpened", session: next, sentAtMs: 50_000, leaseMs },
      { kind: "sessionEnded", session, reason: "late" },
    );
    expect(leaseValid(lease, 60_000)).toBe(true);
  });
});

describe("PROTOCOL-T4: while the interval changes the agent judges by the smaller", () => {
  test("a shorter lease holds at once", () => {
    const lease = after(opened, { kind: "settingsChanged", leaseMs: 10_000 });
    expect(leaseValid(lease, 10_099)).toBe(true);
    expect(leaseValid(lease, 10_100)).toBe(false);
  });

  test("a longer one holds from the acknowledgement of a beat sent under it", () => {
    const changed: LeaseEvent = { kind: "settingsChanged", leaseMs: 40_000 };
    expect(leaseRemainingMs(after(opened, changed), 100)).toBe(leaseMs);
    const echoesOld = after(opened, beat(1, 1_000), changed, beat(2, 2_000), ack(1));
    expect(leaseRemainingMs(echoesOld, 1_000)).toBe(leaseMs);
    const echoesNew = stepLease(echoesOld, ack(2));
    expect(leaseRemainingMs(echoesNew, 2_000)).toBe(40_000);
  });
});

// ---- properties over random histories ----------------------------------------------------------

type Action =
  | { readonly do: "beat" }
  | { readonly do: "ack"; readonly back: number }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "open" }
  | { readonly do: "end"; readonly back: number }
  | { readonly do: "foreignAck"; readonly sequence: number }
  | { readonly do: "settings"; readonly leaseMs: number };

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Action>({ do: "beat" }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("ack" as const), back: fc.nat(5) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.nat(30_000) }) },
  { weight: 1, arbitrary: fc.constant<Action>({ do: "open" }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("end" as const), back: fc.nat(2) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("foreignAck" as const), sequence: fc.nat(20) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("settings" as const),
      leaseMs: fc.integer({ min: 1_000, max: 60_000 }),
    }),
  },
);

/** Plays a history against the machine and against plain bookkeeping of what was really sent. */
function play(actions: readonly Action[], check: (world: World) => void): void {
  const world: World = {
    lease: noLease,
    nowMs: 0,
    number: 0,
    over: true,
    sequence: 0,
    sent: new Map(),
    countFromMs: undefined,
    longestLeaseMs: 0,
  };
  for (const one of actions) {
    act(world, one);
    check(world);
  }
}

interface World {
  lease: Lease;
  nowMs: number;
  number: number;
  /** True when the current session was ended. */
  over: boolean;
  sequence: number;
  sent: Map<number, number>;
  /** Sending time of the youngest acknowledged beat (or the hello) of the current session. */
  countFromMs: number | undefined;
  /** Longest lease time ever set in the current session. */
  longestLeaseMs: number;
}

function act(world: World, one: Action): void {
  const current = { epoch: 7, number: world.number };
  const step = (event: LeaseEvent) => {
    world.lease = stepLease(world.lease, event);
  };
  switch (one.do) {
    case "wait":
      world.nowMs += one.ms;
      return;
    case "beat":
      world.sequence += 1;
      world.sent.set(world.sequence, world.nowMs);
      step({ kind: "beatSent", sequence: world.sequence, sentAtMs: world.nowMs });
      return;
    case "ack": {
      const sequence = Math.max(1, world.sequence - one.back);
      const sentAtMs = world.sent.get(sequence);
      if (sentAtMs !== undefined && !world.over) {
        world.countFromMs = Math.max(world.countFromMs ?? 0, sentAtMs);
      }
      step({ kind: "beatAcknowledged", session: current, sequence });
      return;
    }
    case "foreignAck":
      step({
        kind: "beatAcknowledged",
        session: { epoch: 7, number: world.number + 1 },
        sequence: one.sequence,
      });
      return;
    case "open":
      world.number += 1;
      world.over = false;
      world.sequence = 0;
      world.sent = new Map();
      world.countFromMs = world.nowMs;
      world.longestLeaseMs = leaseMs;
      step({
        kind: "sessionOpened",
        session: { epoch: 7, number: world.number },
        sentAtMs: world.nowMs,
        leaseMs,
      });
      return;
    case "end": {
      const number = Math.max(0, world.number - one.back);
      if (number === world.number) world.over = true;
      step({ kind: "sessionEnded", session: { epoch: 7, number }, reason: "test" });
      return;
    }
    case "settings":
      world.longestLeaseMs = Math.max(world.longestLeaseMs, one.leaseMs);
      step({ kind: "settingsChanged", leaseMs: one.leaseMs });
  }
}

const histories = fc.array(action, { maxLength: 60 });

describe("PROTOCOL-I8: whatever happens", () => {
  test("LEASE-1, LEASE-4: a valid lease was sent for less than the lease time ago", () => {
    fc.assert(
      fc.property(histories, (actions) => {
        play(actions, (world) => {
          if (!leaseValid(world.lease, world.nowMs)) return;
          expect(world.countFromMs).toBeDefined();
          expect(world.nowMs - (world.countFromMs ?? 0)).toBeLessThan(world.longestLeaseMs);
        });
      }),
      { numRuns: 500 },
    );
  });

  test("LEASE-3: no lease is valid while its session is over", () => {
    fc.assert(
      fc.property(histories, (actions) => {
        play(actions, (world) => {
          if (world.over) expect(leaseValid(world.lease, world.nowMs)).toBe(false);
        });
      }),
      { numRuns: 500 },
    );
  });

  test("LEASE-2: acknowledgements never shorten it", () => {
    fc.assert(
      fc.property(histories, fc.nat(5), (actions, back) => {
        play(actions, (world) => {
          const { lease } = world;
          if (lease.kind !== "open") return;
          const next = stepLease(lease, {
            kind: "beatAcknowledged",
            session: lease.session,
            sequence: Math.max(1, world.sequence - back),
          });
          if (next.kind === "open") {
            expect(next.countedFromMs).toBeGreaterThanOrEqual(lease.countedFromMs);
          }
        });
      }),
      { numRuns: 300 },
    );
  });
});
