// SPDX-License-Identifier: Apache-2.0
// Proves that links are kept to a changing set of peers: dialled, redialled with jitter, dropped.

import { createSilentLogger } from "@remex/runtime";
import { createFakeClock, createSeededRandom } from "@remex/runtime/testing";
import { describe, expect, test } from "vitest";
import type { FrameLink, LinkClosed } from "./link.ts";
import { createInProcessLinkPair } from "./local-link.ts";
import { createManagedLinks, type LinkTarget } from "./managed-links.ts";

type Link = FrameLink<number, number>;

function setUp(answer: (target: LinkTarget, dials: number) => Link | Error) {
  const clock = createFakeClock();
  const dials: { id: string; atMs: number }[] = [];
  const events: string[] = [];
  const links = createManagedLinks<number, number>({
    clock,
    log: createSilentLogger(),
    random: createSeededRandom(1),
    backoff: { baseMs: 100, maxMs: 1_000 },
    heldMs: 5_000,
    async dial(target) {
      dials.push({ id: target.id, atMs: clock.nowMs() });
      const answered = answer(target, dials.length);
      if (answered instanceof Error) throw answered;
      return answered;
    },
    onUp: (target) => events.push(`up ${target.id}`),
    onDown: (target, reason: LinkClosed) => events.push(`down ${target.id} ${reason.code}`),
  });
  return { clock, dials, events, links };
}

const target = (id: string, address = `${id}:1`): LinkTarget => ({ id, address });

describe("managed links", () => {
  test("one link to each peer; one that is no longer wanted is closed and not dialled again", async () => {
    const pairs = new Map<string, ReturnType<typeof createInProcessLinkPair<number, number>>>();
    const { clock, dials, events, links } = setUp((peer) => {
      const pair = createInProcessLinkPair<number, number>("me", peer.id);
      pairs.set(peer.id, pair);
      return pair.client;
    });
    links.setTargets([target("a"), target("b")]);
    await clock.advance(0);
    expect([...links.up.keys()].sort()).toEqual(["a", "b"]);
    links.setTargets([target("b")]);
    await clock.advance(10_000);
    expect(events).toEqual(["up a", "up b", "down a closed_here"]);
    expect(dials).toHaveLength(2);
    expect((await pairs.get("a")?.server.closed)?.code).toBe("closed_by_peer");
    links.close();
    await clock.advance(0);
    expect(clock.pendingTimers()).toBe(0);
  });

  test("a refused dial is tried again with full jitter, never faster than the bounds say", async () => {
    const { clock, dials, links } = setUp(() => new Error("refused"));
    links.setTargets([target("a")]);
    await clock.advance(20_000);
    const waits = dials.slice(1).map((dial, at) => dial.atMs - (dials[at]?.atMs ?? 0));
    expect(waits.length).toBeGreaterThan(10);
    waits.forEach((wait, at) => {
      expect(wait).toBeLessThanOrEqual(Math.min(1_000, 100 * 2 ** at));
    });
    expect(new Set(waits).size).toBeGreaterThan(5);
    expect(links.missing()).toEqual([target("a")]);
    links.close();
  });

  test("PROTOCOL-L5: the backoff is forgotten only after a link has held", async () => {
    let pair = createInProcessLinkPair<number, number>("me", "a");
    const { clock, dials, links } = setUp((_, count) => {
      if (count < 6) return new Error("refused");
      pair = createInProcessLinkPair<number, number>("me", "a");
      return pair.client;
    });
    links.setTargets([target("a")]);
    await clock.advance(10_000);
    expect(links.up.size).toBe(1);
    pair.server.close();
    await clock.advance(100);
    const afterHeld = dials.at(-1)?.atMs ?? 0;
    expect(clock.nowMs() - afterHeld).toBeLessThanOrEqual(100);
    expect(links.up.size).toBe(1);
    links.close();
  });

  test("a peer that moved to another address is dialled there", async () => {
    const { clock, dials, links } = setUp((peer) => {
      return createInProcessLinkPair<number, number>("me", peer.address).client;
    });
    links.setTargets([target("a", "host:1")]);
    await clock.advance(0);
    links.setTargets([target("a", "host:2")]);
    await clock.advance(0);
    expect(links.up.get("a")?.peer).toBe("host:2");
    expect(dials).toHaveLength(2);
    links.close();
  });
});
