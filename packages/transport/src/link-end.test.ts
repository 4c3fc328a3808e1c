// SPDX-License-Identifier: Apache-2.0
// Proves what every link does whatever its wire: one frame per turn, heartbeats, silence, bounds.

import { createFakeClock } from "@remex/runtime/testing";
import { describe, expect, test } from "vitest";
import { defaultLinkBounds } from "./link.ts";
import { createLinkEnd, type LinkEnd } from "./link-end.ts";

const timings = { heartbeatMs: 2_000, silenceMs: 6_000 };

/** Pulls the frames of an end as a wire does, as fast as they come. */
function pull<Out>(end: LinkEnd<unknown, Out>): { frames: Out[][]; ended: Promise<void> } {
  const frames: Out[][] = [];
  const ended = (async () => {
    for await (const frame of end.frames()) frames.push(frame);
  })();
  return { frames, ended };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("a link's end", () => {
  test("puts all events of one turn into one frame, and the next turn's into the next", async () => {
    const end = createLinkEnd<string, number>({ peer: "p", clock: createFakeClock(), timings });
    const { frames } = pull(end);
    end.send([1]);
    end.send([2, 3]);
    await Promise.resolve().then(() => end.send([4]));
    await turn();
    await turn();
    end.send([5]);
    await turn();
    await turn();
    expect(frames).toEqual([[1, 2, 3, 4], [5]]);
  });

  test("gathers what is sent while its wire is busy", async () => {
    const end = createLinkEnd<string, number>({ peer: "p", clock: createFakeClock(), timings });
    const frames = end.frames();
    end.send([1]);
    expect(await frames.next()).toEqual({ done: false, value: [1] });
    for (let n = 2; n < 5; n++) {
      end.send([n]);
      await turn();
    }
    expect(await frames.next()).toEqual({ done: false, value: [2, 3, 4] });
  });

  test("sends an empty frame in time when nothing else is sent", async () => {
    const clock = createFakeClock();
    const end = createLinkEnd<string, number>({ peer: "p", clock, timings });
    const { frames } = pull(end);
    for (let second = 0; second < 5; second++) {
      await clock.advance(1_000);
      end.received([]);
    }
    expect(frames.length).toBeGreaterThanOrEqual(2);
    expect(frames.every((frame) => frame.length === 0)).toBe(true);
    expect(end.open).toBe(true);
  });

  test("counts the other end as gone after the silence limit, not before", async () => {
    const clock = createFakeClock();
    const end = createLinkEnd<string, number>({ peer: "monitor-1", clock, timings });
    await clock.advance(3_000);
    end.received([]);
    await clock.advance(5_900);
    expect(end.open).toBe(true);
    await clock.advance(600);
    expect(end.open).toBe(false);
    const reason = await end.closed;
    expect(reason.code).toBe("silent");
    expect(reason.message).toBe("monitor-1 was silent for 6000 ms");
    expect(clock.pendingTimers()).toBe(0);
  });

  test("a pause of this very process is not held against the other end", async () => {
    let now = 0;
    let look: (() => void) | undefined;
    const clock = {
      ...createFakeClock(),
      nowMs: () => now,
      every: (_: number, fire: () => void) => {
        look = fire;
        return () => undefined;
      },
    };
    const end = createLinkEnd<string, number>({ peer: "p", clock, timings });
    now = 60_000;
    look?.();
    expect(end.open).toBe(true);
    now += 500;
    look?.();
    expect(end.open).toBe(true);
    for (let n = 0; n < 12; n++) {
      now += 500;
      look?.();
    }
    expect(end.open).toBe(false);
  });

  test("ends when more waits than its bounds allow", async () => {
    const bounds = { ...defaultLinkBounds, maxQueuedEvents: 3 };
    const end = createLinkEnd<string, number>({
      peer: "slow",
      clock: createFakeClock(),
      timings,
      bounds,
    });
    end.send([1, 2, 3]);
    expect(end.open).toBe(true);
    end.send([4]);
    const reason = await end.closed;
    expect(reason.code).toBe("overflow");
    expect(reason.message).toContain("slow takes events too slowly: 4 events");
    end.send([5]);
  });

  test("a close sends what is queued first, then ends its frames", async () => {
    const end = createLinkEnd<string, number>({ peer: "p", clock: createFakeClock(), timings });
    end.send([1, 2]);
    end.close("done");
    end.send([3]);
    const { frames, ended } = pull(end);
    await ended;
    expect(frames).toEqual([[1, 2]]);
    expect((await end.closed).code).toBe("closed_here");
  });

  test("hands events that came early to the receiver, in order", () => {
    const end = createLinkEnd<string, number>({ peer: "p", clock: createFakeClock(), timings });
    end.received(["a"]);
    end.received(["b", "c"]);
    const got: string[][] = [];
    end.onEvents((events) => got.push(events));
    end.received(["d"]);
    expect(got).toEqual([["a", "b", "c"], ["d"]]);
  });

  test("a receiver that throws ends the link with what it threw", async () => {
    const end = createLinkEnd<string, number>({ peer: "p", clock: createFakeClock(), timings });
    const bug = new Error("bug");
    end.onEvents(() => {
      throw bug;
    });
    end.received(["a"]);
    const reason = await end.closed;
    expect(reason.code).toBe("receiver_failed");
    expect(reason.cause).toBe(bug);
  });

  test("greets with a frame at once where it is the serving side", async () => {
    const end = createLinkEnd<string, number>({
      peer: "p",
      clock: createFakeClock(),
      timings,
      greet: true,
    });
    const { frames } = pull(end);
    await turn();
    await turn();
    expect(frames).toEqual([[]]);
  });
});
