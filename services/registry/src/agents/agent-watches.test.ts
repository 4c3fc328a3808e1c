// SPDX-License-Identifier: Apache-2.0
// Proves a watch: the whole list in pages, changes as they are signalled, and all of it again in time.
import { createFakeClock } from "@remex/runtime/testing";
import type { SessionRecord } from "@remex/store";
import { describe, expect, it } from "vitest";
import { createAgentWatches } from "./agent-watches.ts";

const recordOf = (agent: string): SessionRecord => ({
  agent,
  ...{ instance: "", registry: "r", kind: "WORKER", queues: ["default"], labels: {}, slots: 1 },
  ...{ group: "default", runtimes: [], runtimeVersions: {}, token: "t", scopeQueues: [] },
  ...{ keyDigest: "", softwareVersion: "", hostname: "", address: "" },
  ...{ session: { epoch: 1, number: 1 }, state: "OPEN", reason: "", generation: 1 },
  ...{ beatSequence: 0, beatAtMs: 0, beaten: false, openedAtMs: 0, availability: "SCHEDULABLE" },
  ...{ health: "HEALTHY", healthReason: "", healthSinceMs: 0, slotsUsed: 0, conflictAtMs: 0 },
  staleReports: 0,
  ...{ controlNote: "", drainAtMs: 0, onCut: undefined, lostAfterMs: undefined, tasksHeld: 0 },
});

function start(names: string[]) {
  const clock = createFakeClock();
  const watches = createAgentWatches({
    clock,
    sessions: {
      list: async (_deployment, after, limit) => ({
        nowMs: 0,
        agents: names
          .filter((name) => name > after)
          .slice(0, limit)
          .map(recordOf),
      }),
      get: async (_deployment, wanted) => ({
        nowMs: 0,
        agents: names.filter((name) => wanted.includes(name)).map(recordOf),
      }),
    },
  });
  const abort = new AbortController();
  const frames: string[] = [];
  const done = (async () => {
    for await (const frame of watches.watch("dep", abort.signal)) {
      const shown =
        frame.agents.length > 3
          ? `${frame.agents.length}`
          : frame.agents.map((each) => each.agent).join();
      frames.push(`+${shown} -${frame.removed.join()}${frame.listComplete ? " complete" : ""}`);
    }
  })();
  return { clock, watches, abort, frames, done, names };
}

describe("a watch of agents", () => {
  it("R11: lists first, then tells changes of its own deployment, then lists again after 10 s", async () => {
    const { clock, watches, abort, frames, done, names } = start(["a", "b"]);
    await clock.advance(0);
    expect(frames).toEqual(["+a,b - complete"]);
    watches.signal("other", ["a"]);
    watches.signal("dep", ["b"]);
    await clock.advance(0);
    names.splice(0, 1);
    names.push("c");
    watches.signal("dep", ["a", "c"]);
    await clock.advance(0);
    expect(frames.slice(1)).toEqual(["+b -", "+c -a"]);
    names.splice(0, 1);
    await clock.advance(10_000);
    expect(frames.slice(3)).toEqual(["+c -b complete"]);
    await clock.advance(10_000);
    expect(frames.slice(4)).toEqual(["+c - complete"]);
    abort.abort();
    await done;
    expect(clock.pendingTimers()).toBe(0);
  });

  it("an empty deployment is told in an empty frame, and a long list in pages", async () => {
    const empty = start([]);
    await empty.clock.advance(0);
    expect(empty.frames).toEqual(["+ - complete"]);
    empty.abort.abort();
    const names = Array.from({ length: 700 }, (_, index) => `a${1_000 + index}`);
    const long = start(names);
    await long.clock.advance(0);
    expect(long.frames).toEqual(["+500 -", "+200 - complete"]);
    long.abort.abort();
    await Promise.all([empty.done, long.done]);
  });
});
