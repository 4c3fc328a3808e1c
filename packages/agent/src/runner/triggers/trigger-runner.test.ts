// SPDX-License-Identifier: Apache-2.0
// Proves what the runner's machine allows triggers: a start, events under a lease, and an end (G3, I11, R22).

import type { TriggerWorkJson } from "@remex/proto/common/v1";
import { describe, expect, it } from "vitest";
import { stepRunner } from "../runner-machine.ts";
import {
  createRunnerState,
  keyOf,
  type RunnerEffect,
  type RunnerMachineEvent,
} from "../runner-state.ts";

const session = { epoch: 1, number: 5 };
const name = { task: "t_a", attempt: { epoch: 1, number: 1 } };
const key = keyOf(name);
const timer = { builtin: { timer: { after: "1s" } } };

function lease(untilMs: number): RunnerMachineEvent {
  return { kind: "lease", session, untilMs, stopMs: 6_000 };
}

function start(trigger: TriggerWorkJson = timer): RunnerMachineEvent {
  return {
    kind: "start",
    name,
    session,
    windowUntilMs: 1_000,
    start: { spec: { trigger }, onCut: "ON_CUT_CONTINUE" },
    logPath: "/logs/t_a",
  };
}

const event = { kind: "emitted", key, number: 1, payload: Buffer.from("{}") } as const;

function runner() {
  const state = createRunnerState([]);
  return (ms: number, ...events: RunnerMachineEvent[]): RunnerEffect[] =>
    events.flatMap((each) => stepRunner(state, each, { ms, wallMs: 1_000_000 + ms }));
}

function outcomeOf(effects: readonly RunnerEffect[]) {
  const finish = effects.find((effect) => effect.kind === "finish");
  return finish?.kind === "finish" ? finish.event.ended?.outcome : undefined;
}

describe("triggers in the runner", () => {
  it("a trigger is started like other work, journal first, and its work is not in the journal", () => {
    const at = runner();
    at(0, lease(500));
    const effects = at(1, start({ ...timer, secretPayload: "c2VjcmV0" }));
    expect(effects.map(({ kind }) => kind)).toEqual(["note", "launch"]);
    expect(JSON.stringify(effects[0])).not.toContain("c2VjcmV0");
  });

  it.each<[string, TriggerWorkJson, RegExp]>([
    ["one of another runtime", { runtime: "airflow" }, /airflow/],
    ["one with nothing in it", {}, /holds no trigger/],
    ["one that cannot work", { builtin: { timer: { after: "0s" } } }, /trigger.timer.after/],
    [
      "one with odd secrets",
      { builtin: { http: { url: "http://host.test/" } }, secretPayload: "eA==" },
      /secret_payload/,
    ],
  ])("%s is refused before it starts", (_, work, message) => {
    const at = runner();
    at(0, lease(500));
    const [effect] = at(1, start(work));
    const refused = effect?.kind === "send" ? effect.event.refused : undefined;
    expect(refused).toMatchObject({ reason: "cannot_run" });
    expect(refused?.message).toMatch(message);
  });

  it("an event is told with its number while the trigger runs under a lease", () => {
    const at = runner();
    at(0, lease(500), start());
    expect(at(10, event)).toMatchObject([
      { kind: "send", event: { emitted: { task: "t_a", number: "1", payload: "e30=" } } },
    ]);
  });

  it("PROTOCOL-I11 G3: after the lease's end no event is told, and the trigger is stopped at once", () => {
    const at = runner();
    at(0, lease(500), start());
    const effects = at(500, event);
    expect(effects.map(({ kind }) => kind)).toEqual(["signal"]);
    expect(at(501, lease(1_000), event)).toEqual([]);
  });

  it("R22: a trigger is stopped at the lease's end under every policy, and says why", () => {
    const at = runner();
    at(0, lease(500), start());
    expect(at(499, { kind: "tick" })).toEqual([]);
    expect(at(500, { kind: "tick" })).toMatchObject([{ kind: "signal", keys: [key] }]);
    const exit = { code: undefined, signal: undefined, outOfMemory: false };
    at(500, { kind: "exited", key, exit });
    expect(outcomeOf(at(500, { kind: "swept", key, remaining: 0 }))).toMatchObject({
      kind: "OUTCOME_KIND_ABORTED",
      reason: "OUTCOME_REASON_LEASE_ENDED",
    });
  });

  it("a trigger that has ended well tells so after the journal, and nothing afterwards", () => {
    const at = runner();
    at(0, lease(500), start());
    const effects = at(10, { kind: "concluded", key, message: "1 event" });
    expect(outcomeOf(effects)).toMatchObject({
      kind: "OUTCOME_KIND_SUCCEEDED",
      message: "1 event",
    });
    expect(at(11, event, { kind: "concluded", key, message: "again" })).toEqual([]);
  });

  it("a trigger that is being stopped tells nothing more", () => {
    const at = runner();
    at(0, lease(500), start());
    at(5, { kind: "stop", name, reason: "STOP_REASON_CANCELED" });
    expect(at(6, event, { kind: "concluded", key, message: "late" })).toEqual([]);
  });
});
