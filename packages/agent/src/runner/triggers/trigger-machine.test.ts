// SPDX-License-Identifier: Apache-2.0
// Proves what built-in triggers do: their rhythm, their conditions, and that none ends before its events stand.

import { describe, expect, it } from "vitest";
import {
  createTriggerState,
  stepTrigger,
  type TriggerEffect,
  type TriggerEvent,
} from "./trigger-machine.ts";

const http = {
  kind: "http",
  url: "http://host.test/",
  headers: {},
  expectStatuses: [],
  expectBody: "",
  everyMs: 100,
  requestTimeoutMs: 50,
} as const;

function run(trigger: Parameters<typeof createTriggerState>[0]) {
  const state = createTriggerState(trigger);
  return (ms: number, event: TriggerEvent): TriggerEffect[] =>
    stepTrigger(state, event, { ms, wallMs: 1_000 + ms });
}
const begin = { kind: "begin" } as const;
const woken = { kind: "woken" } as const;
const durable = (number: number) => ({ kind: "durable", number }) as const;

describe("a timer", () => {
  const once = { kind: "timer", afterMs: 50, everyMs: undefined, times: 1 } as const;

  it("fires once after its time, and ends when its event is durable", () => {
    const at = run(once);
    expect(at(0, begin)).toEqual([{ kind: "wakeAt", atMs: 50 }]);
    expect(at(49, woken)).toEqual([{ kind: "wakeAt", atMs: 50 }]);
    expect(at(50, woken)).toMatchObject([{ kind: "emit", number: 1, payload: { firing: 1 } }]);
    expect(at(51, woken)).toEqual([]);
    expect(at(60, durable(1))).toMatchObject([{ kind: "end" }]);
    expect(at(61, durable(1))).toEqual([]);
  });

  it("keeps its rhythm, and does not catch up with what a pause made it miss", () => {
    const at = run({ kind: "timer", afterMs: 10, everyMs: 100, times: undefined });
    at(0, begin);
    at(13, woken);
    expect(at(20, durable(1))).toEqual([{ kind: "wakeAt", atMs: 110 }]);
    expect(at(110, woken)).toMatchObject([{ kind: "emit", number: 2 }]);
    expect(at(900, durable(2))).toEqual([{ kind: "wakeAt", atMs: 900 }]);
    expect(at(900, woken)).toMatchObject([{ kind: "emit", number: 3 }]);
    expect(at(901, durable(3))).toEqual([{ kind: "wakeAt", atMs: 1_000 }]);
  });

  it("fires as often as it should, one event at a time", () => {
    const at = run({ kind: "timer", afterMs: 10, everyMs: 10, times: 2 });
    at(0, begin);
    expect(at(10, woken)).toMatchObject([{ kind: "emit", number: 1 }]);
    expect(at(20, woken)).toEqual([]);
    expect(at(25, durable(0))).toEqual([]);
    expect(at(25, durable(1))).toEqual([{ kind: "wakeAt", atMs: 25 }]);
    expect(at(25, woken)).toMatchObject([{ kind: "emit", number: 2 }]);
    expect(at(26, durable(2))).toMatchObject([
      { kind: "end", message: "the timer trigger emitted 2 events" },
    ]);
  });
});

describe("an http trigger", () => {
  it("asks at once, and again a while after each answer that does not fit or does not come", () => {
    const at = run(http);
    expect(at(0, begin)).toMatchObject([{ kind: "ask" }]);
    expect(at(5, woken)).toEqual([]);
    expect(at(10, { kind: "unanswered" })).toEqual([{ kind: "wakeAt", atMs: 110 }]);
    expect(at(110, woken)).toMatchObject([{ kind: "ask" }]);
    expect(at(120, { kind: "answered", status: 503, body: "" })).toMatchObject([{ atMs: 220 }]);
    at(220, woken);
    expect(at(221, { kind: "answered", status: 204, body: "x".repeat(20_000) })).toMatchObject([
      { kind: "emit", number: 1, payload: { status: 204, polls: 3, body: "x".repeat(16_384) } },
    ]);
    expect(at(230, durable(1))).toMatchObject([{ kind: "end" }]);
  });

  it.each([
    ["a status that is expected", { expectStatuses: [404] }, 404, "", true],
    ["a good status that is not", { expectStatuses: [404] }, 200, "", false],
    ["a redirect", {}, 302, "", false],
    ["the text in the body", { expectBody: "done" }, 200, "all done", true],
    ["another text", { expectBody: "done" }, 200, "not yet", false],
    ["the text with a bad status", { expectBody: "done" }, 500, "done", false],
  ])("%s", (_, more, status, body, fits) => {
    const at = run({ ...http, ...more });
    at(0, begin);
    const [effect] = at(1, { kind: "answered", status, body });
    expect(effect?.kind).toBe(fits ? "emit" : "wakeAt");
  });
});

describe("a file trigger", () => {
  it("looks until something is there", () => {
    const at = run({ kind: "file", path: "/data/done", everyMs: 100 });
    expect(at(0, begin)).toEqual([{ kind: "look", path: "/data/done" }]);
    expect(at(1, { kind: "looked", size: undefined })).toEqual([{ kind: "wakeAt", atMs: 101 }]);
    expect(at(101, woken)).toMatchObject([{ kind: "look" }]);
    expect(at(102, { kind: "looked", size: 0 })).toMatchObject([
      { kind: "emit", number: 1, payload: { path: "/data/done", size: 0, polls: 2 } },
    ]);
    expect(at(103, durable(1))).toMatchObject([{ kind: "end" }]);
  });
});
