// SPDX-License-Identifier: Apache-2.0
// Proves the runner's decisions: when it may start, how it stops, and what it tells (PROTOCOL S4, G1, C1).

import type { StartJson } from "@remex/proto/runner/v1";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stepRunner } from "./runner-machine.ts";
import {
  createRunnerState,
  keyOf,
  type RunnerEffect,
  type RunnerMachineEvent,
  type RunnerState,
} from "./runner-state.ts";

const session = { epoch: 1, number: 5 };
const older = { epoch: 1, number: 4 };
const command = { command: { argv: ["true"] } };

function nameOf(task: string, number = 1) {
  return { task, attempt: { epoch: 1, number } };
}

function lease(untilMs: number, of = session): RunnerMachineEvent {
  return { kind: "lease", session: of, untilMs, stopMs: 6_000 };
}

function start(task: string, more: Partial<StartJson> = {}, windowUntilMs = 1_000) {
  return {
    kind: "start",
    name: nameOf(task),
    session,
    windowUntilMs,
    start: { spec: command, onCut: "ON_CUT_CONTINUE", ...more },
    logPath: `/logs/${task}`,
  } as const satisfies RunnerMachineEvent;
}

function exited(task: string, code: number | undefined, signal?: string): RunnerMachineEvent {
  return { kind: "exited", key: keyOf(nameOf(task)), exit: { code, signal, outOfMemory: false } };
}

class Runner {
  readonly state: RunnerState = createRunnerState([]);

  at(ms: number, ...events: RunnerMachineEvent[]): RunnerEffect[] {
    return events.flatMap((event) => stepRunner(this.state, event, { ms, wallMs: 1_000_000 + ms }));
  }
}

function kinds(effects: readonly RunnerEffect[]): string[] {
  return effects.map((effect) => effect.kind);
}

function refusalOf(effects: readonly RunnerEffect[]): string | undefined {
  const [effect] = effects;
  return effect?.kind === "send" ? effect.event.refused?.reason : undefined;
}

function outcomeOf(effects: readonly RunnerEffect[]) {
  const finish = effects.find((effect) => effect.kind === "finish");
  return finish?.kind === "finish" ? finish.event.ended?.outcome : undefined;
}

describe("starting", () => {
  it("PROTOCOL-S4: under a valid lease and within the window the journal comes first, then the launch", () => {
    const runner = new Runner();
    runner.at(0, lease(500));
    expect(kinds(runner.at(499, start("t_a")))).toEqual(["note", "launch"]);
  });

  it.each([
    ["there is no lease", [], 0, "no_lease"],
    ["the lease has just ended", [lease(500)], 500, "no_lease"],
    ["the lease is of an older session", [lease(500, older)], 0, "no_lease"],
    ["the window has just passed", [lease(5_000)], 1_000, "window_passed"],
  ] as const)("PROTOCOL-S4: nothing starts when %s", (_, before, ms, reason) => {
    const runner = new Runner();
    runner.at(0, ...before);
    const effects = runner.at(ms, start("t_a"));
    expect(kinds(effects)).toEqual(["send"]);
    expect(refusalOf(effects)).toBe(reason);
  });

  it("PROTOCOL-I1: an attempt is launched at most once, also when it has ended", () => {
    const runner = new Runner();
    runner.at(0, lease(500), start("t_a"));
    expect(refusalOf(runner.at(1, start("t_a")))).toBe("known_attempt");
    runner.at(2, exited("t_a", 0));
    expect(refusalOf(runner.at(3, start("t_a")))).toBe("known_attempt");
  });

  it("PROTOCOL-I1: an attempt of the journal is known after a restart", () => {
    const state = createRunnerState([keyOf(nameOf("t_a"))]);
    const now = { ms: 0, wallMs: 0 };
    stepRunner(state, lease(500), now);
    expect(refusalOf(stepRunner(state, start("t_a"), now))).toBe("known_attempt");
  });

  it.each([
    ["an empty command", { command: { argv: [] } }],
    ["a command without a program", { command: { argv: [""] } }],
    ["no work", {}],
    ["work of another runtime", { airflow: { workloadJson: "{}" } }],
  ])("refuses %s", (_, spec) => {
    const runner = new Runner();
    runner.at(0, lease(500));
    expect(refusalOf(runner.at(1, start("t_a", { spec })))).toBe("cannot_run");
  });

  it("a noop ends without a process, and its end is told only after the journal", () => {
    const runner = new Runner();
    runner.at(0, lease(500));
    const effects = runner.at(1, start("t_a", { spec: { noop: {} } }));
    expect(kinds(effects)).toEqual(["send", "finish"]);
    expect(outcomeOf(effects)?.kind).toBe("OUTCOME_KIND_SUCCEEDED");
  });

  it("the journal keeps no work, which may hold credentials", () => {
    const runner = new Runner();
    runner.at(0, lease(500));
    const spec = { queue: "q", command: { argv: ["login"], env: { PASSWORD: "hunter2" } } };
    const effects = runner.at(1, start("t_a", { spec }));
    expect(JSON.stringify(effects.find((effect) => effect.kind === "note"))).not.toContain(
      "hunter2",
    );
  });

  it("an older lease, or one that was overtaken, shortens nothing", () => {
    const runner = new Runner();
    runner.at(0, lease(5_000), lease(400, older), lease(300));
    expect(kinds(runner.at(600, start("t_a")))).toEqual(["note", "launch"]);
  });
});

describe("ending by itself", () => {
  it.each([
    [0, undefined, "OUTCOME_KIND_SUCCEEDED", undefined],
    [3, undefined, "OUTCOME_KIND_FAILED", "OUTCOME_REASON_EXIT_CODE"],
    [undefined, "SIGSEGV", "OUTCOME_KIND_FAILED", "OUTCOME_REASON_SIGNAL"],
  ])("exit code %s and signal %s give %s", (code, signal, kind, reason) => {
    const runner = new Runner();
    runner.at(0, lease(500), start("t_a"));
    const outcome = outcomeOf(runner.at(7, exited("t_a", code, signal)));
    expect(outcome).toMatchObject({ kind, runTime: "0.007s" });
    expect(outcome?.reason).toBe(reason);
  });

  it("a kill by the kernel for want of memory is told as such", () => {
    const runner = new Runner();
    runner.at(0, lease(500), start("t_a"));
    const exit = { code: undefined, signal: "SIGKILL", outOfMemory: true };
    const effects = runner.at(1, { kind: "exited", key: keyOf(nameOf("t_a")), exit });
    expect(outcomeOf(effects)?.reason).toBe("OUTCOME_REASON_OUT_OF_MEMORY");
  });

  it("PROTOCOL-C4: a stop that comes after the end changes nothing", () => {
    const runner = new Runner();
    runner.at(0, lease(500), start("t_a"), exited("t_a", 0));
    const stop = { kind: "stop", name: nameOf("t_a"), reason: "STOP_REASON_CANCELED" } as const;
    expect(runner.at(1, stop)).toEqual([]);
  });
});

describe("stopping", () => {
  const stopA = { kind: "stop", name: nameOf("t_a"), reason: "STOP_REASON_CANCELED" } as const;

  it("PROTOCOL-C4: TERM at once, KILL after the stop time, the outcome when nothing is left", () => {
    const runner = new Runner();
    runner.at(0, lease(500), start("t_a"));
    expect(runner.at(100, stopA)).toEqual([
      { kind: "signal", keys: ["t_a/1.1"], signal: "SIGTERM", graceMs: 6_000 },
    ]);
    expect(runner.at(6_099, { kind: "tick" })).toEqual([]);
    expect(runner.at(6_100, { kind: "tick" })).toEqual([
      { kind: "signal", keys: ["t_a/1.1"], signal: "SIGKILL", graceMs: 0 },
    ]);
    expect(kinds(runner.at(6_110, exited("t_a", undefined, "SIGKILL")))).toEqual(["sweep"]);
    const stillThere = runner.at(6_111, { kind: "swept", key: "t_a/1.1", remaining: 1 });
    expect(stillThere).toEqual([]);
    const effects = runner.at(6_200, { kind: "swept", key: "t_a/1.1", remaining: 0 });
    expect(outcomeOf(effects)).toMatchObject({
      kind: "OUTCOME_KIND_CANCELED",
      reason: "OUTCOME_REASON_CANCELED",
      signal: "SIGKILL",
    });
  });

  it("processes that resist are told of instead of waited for without end", () => {
    const runner = new Runner();
    runner.at(0, lease(500), start("t_a"), stopA);
    runner.at(6_000, { kind: "tick" }, exited("t_a", undefined, "SIGKILL"));
    const effects = runner.at(16_000, { kind: "swept", key: "t_a/1.1", remaining: 2 });
    expect(outcomeOf(effects)?.message).toContain("2 of its processes could not be ended");
  });

  it("the first reason stands", () => {
    const runner = new Runner();
    runner.at(0, lease(500), start("t_a"), stopA);
    const again = { ...stopA, reason: "STOP_REASON_DRAINED" } as const;
    expect(runner.at(1, again)).toEqual([]);
  });

  it("a timeout ends the attempt as failed", () => {
    const runner = new Runner();
    const spec = { ...command, timeout: "2s" };
    runner.at(0, lease(500), start("t_a", { spec }));
    expect(runner.at(1_999, { kind: "tick" })).toEqual([]);
    expect(kinds(runner.at(2_000, { kind: "tick" }))).toEqual(["signal"]);
    runner.at(2_001, exited("t_a", undefined, "SIGTERM"));
    const effects = runner.at(2_002, { kind: "swept", key: "t_a/1.1", remaining: 0 });
    expect(outcomeOf(effects)).toMatchObject({
      kind: "OUTCOME_KIND_FAILED",
      reason: "OUTCOME_REASON_TIMEOUT",
    });
  });

  it("PROTOCOL-G1, PROTOCOL-T3: work under ABORT gets KILL before the lease's end and the stop time, however late the end is noticed", () => {
    const late = new Runner();
    late.at(0, lease(500), start("t_abort", { onCut: "ON_CUT_ABORT" }));
    expect(late.at(3_000, { kind: "tick" })).toMatchObject([{ signal: "SIGTERM", graceMs: 3_000 }]);
    const tooLate = new Runner();
    tooLate.at(0, lease(500), start("t_abort", { onCut: "ON_CUT_ABORT" }));
    expect(tooLate.at(60_000, { kind: "tick" })).toMatchObject([{ graceMs: 0 }]);
  });

  it("PROTOCOL-G1: the lease's end stops work under ABORT and leaves work under CONTINUE", () => {
    const runner = new Runner();
    runner.at(0, lease(500), start("t_abort", { onCut: "ON_CUT_ABORT" }), start("t_goes_on"));
    expect(runner.at(499, { kind: "tick" })).toEqual([]);
    expect(runner.at(500, { kind: "tick" })).toEqual([
      { kind: "signal", keys: ["t_abort/1.1"], signal: "SIGTERM", graceMs: 5_500 },
    ]);
    runner.at(501, exited("t_abort", undefined, "SIGTERM"));
    const effects = runner.at(502, { kind: "swept", key: "t_abort/1.1", remaining: 0 });
    expect(outcomeOf(effects)?.reason).toBe("OUTCOME_REASON_LEASE_ENDED");
  });

  it("PROTOCOL-G1: when the agent's end closes everything is stopped, under every policy, then it exits", () => {
    const runner = new Runner();
    runner.at(0, lease(500), start("t_a"), start("t_b", { onCut: "ON_CUT_ABORT" }));
    expect(kinds(runner.at(1, { kind: "close" }))).toEqual(["signal", "signal"]);
    expect(refusalOf(runner.at(2, start("t_c")))).toBe("not_ready");
    runner.at(3, exited("t_a", 0), exited("t_b", 0));
    const first = runner.at(4, { kind: "swept", key: "t_a/1.1", remaining: 0 });
    expect(kinds(first)).toEqual(["finish"]);
    expect(outcomeOf(first)?.reason).toBe("OUTCOME_REASON_RUNNER_LOST");
    const second = runner.at(5, { kind: "swept", key: "t_b/1.1", remaining: 0 });
    expect(kinds(second)).toEqual(["finish", "exit"]);
  });

  it("with nothing running it exits at once", () => {
    expect(new Runner().at(0, { kind: "close" })).toEqual([{ kind: "exit" }]);
  });
});

describe("forgetting", () => {
  it("drops an answered attempt from the journal, and never one that runs", () => {
    const runner = new Runner();
    runner.at(0, lease(500), start("t_a"));
    const forget = { kind: "forget", name: nameOf("t_a") } as const;
    expect(runner.at(1, forget)).toEqual([]);
    runner.at(2, exited("t_a", 0));
    expect(kinds(runner.at(3, forget))).toEqual(["note"]);
    expect(runner.at(4, forget)).toEqual([]);
  });
});

describe("whatever happens in whatever order", () => {
  const task = fc.constantFrom("t_a", "t_b", "t_c");
  const happening = fc.oneof(
    fc.record({ kind: fc.constant("lease" as const), forMs: fc.integer({ min: 0, max: 2_000 }) }),
    fc.record({
      kind: fc.constant("start" as const),
      task,
      abort: fc.boolean(),
      forMs: fc.nat(900),
    }),
    fc.record({ kind: fc.constant("stop" as const), task }),
    fc.record({ kind: fc.constant("exit" as const), task }),
    fc.record({ kind: fc.constant("sweep" as const), task, remaining: fc.nat(1) }),
    fc.record({ kind: fc.constant("forget" as const), task }),
    fc.record({ kind: fc.constant("wait" as const), forMs: fc.nat(3_000) }),
    fc.record({ kind: fc.constant("close" as const) }),
  );

  it("PROTOCOL-I1, PROTOCOL-S4: one launch per attempt, under a lease, each with one outcome at most", () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 60 }), (story) => {
        const runner = new Runner();
        let nowMs = 0;
        let leaseUntilMs = -1;
        let closed = false;
        const launched: string[] = [];
        const forgotten = new Set<string>();
        const ended = new Map<string, number>();
        const play = (event: RunnerMachineEvent): void => {
          for (const effect of runner.at(nowMs, event)) {
            if (effect.kind === "launch") {
              expect(nowMs).toBeLessThan(leaseUntilMs);
              expect(closed).toBe(false);
              launched.push(effect.key);
            }
            if (effect.kind === "finish" && effect.record.record === "ended") {
              const key = keyOf({ ...nameOf(effect.record.name.task) });
              ended.set(key, (ended.get(key) ?? 0) + 1);
            }
            if (effect.kind === "note" && effect.record.record === "forgotten") {
              forgotten.add(keyOf(nameOf(effect.record.name.task)));
            }
          }
        };
        for (const next of story) {
          switch (next.kind) {
            case "lease":
              leaseUntilMs = Math.max(leaseUntilMs, nowMs + next.forMs);
              play(lease(nowMs + next.forMs));
              break;
            case "start": {
              // What was answered for good is never offered again by a control plane (S3).
              if (forgotten.has(keyOf(nameOf(next.task)))) break;
              const onCut = next.abort ? "ON_CUT_ABORT" : "ON_CUT_CONTINUE";
              play(start(next.task, { onCut }, nowMs + next.forMs));
              break;
            }
            case "stop":
              play({ kind: "stop", name: nameOf(next.task), reason: "STOP_REASON_KILLED" });
              break;
            case "exit":
              play(exited(next.task, 0));
              break;
            case "sweep":
              play({ kind: "swept", key: keyOf(nameOf(next.task)), remaining: next.remaining });
              break;
            case "forget":
              play({ kind: "forget", name: nameOf(next.task) });
              break;
            case "wait":
              nowMs += next.forMs;
              play({ kind: "tick" });
              break;
            default:
              closed = true;
              play({ kind: "close" });
          }
        }
        expect(new Set(launched).size).toBe(launched.length);
        for (const [key, count] of ended) {
          expect(count).toBe(1);
          expect(launched).toContain(key);
        }
      }),
      { numRuns: 400 },
    );
  });
});
