// SPDX-License-Identifier: Apache-2.0
// Drives the agent's machine in tests: short words for events, and questions about its effects.

import { create } from "@bufbuild/protobuf";
import type { InventoryVerdict, ReportVerdict } from "@remex/proto/agent/v1";
import { OnCut, OutcomeKind, OutcomeSchema, TaskSpecSchema } from "@remex/proto/common/v1";
import { stepAgent } from "../session/agent-machine.ts";
import {
  type AgentEffect,
  type AgentMachineEvent,
  type AgentSays,
  type AgentSettings,
  type AgentState,
  createAgentState,
  type FormerInstance,
  type ServerSays,
} from "../session/agent-state.ts";
import { factsOf } from "../shell/server-convert.ts";

export const epoch = 1_794_000_000;

export const settings: AgentSettings = {
  version: 1,
  heartbeatMs: 10_000,
  leaseMs: 20_000,
  windowMs: 15_000,
  stopMs: 6_000,
  onCut: OnCut.CONTINUE,
};

const runtimes = ["command", "noop", "trigger_builtin"];

export function attempt(number: number) {
  return { epoch, number };
}

export function outcome(kind = OutcomeKind.SUCCEEDED) {
  return create(OutcomeSchema, { kind });
}

/** A machine with a clock that the test moves. */
export class Rig {
  readonly state: AgentState;
  nowMs = 0;
  session = 1;
  /** All effects so far. */
  readonly all: AgentEffect[] = [];

  constructor(slots = 2, former?: FormerInstance) {
    this.state = createAgentState({ slots, former }, 0);
  }

  /** Takes an event now; gives its effects. */
  take(event: AgentMachineEvent): AgentEffect[] {
    const effects = stepAgent(this.state, event, this.nowMs);
    this.all.push(...effects);
    return effects;
  }

  /** Time passes, with a turn of the work loop at its end. */
  wait(ms: number): AgentEffect[] {
    this.nowMs += ms;
    return this.take({ kind: "turn" });
  }

  hear(says: ServerSays, session = this.session): AgentEffect[] {
    return this.take({
      kind: "server",
      dial: this.state.dial,
      session: { epoch, number: session },
      says,
    });
  }

  /** The runner is there and takes work. */
  runner(): AgentEffect[] {
    return [
      ...this.take({ kind: "runnerHello", runtimes, journal: [] }),
      ...this.take({ kind: "runnerReady", ready: true }),
    ];
  }

  dial(): AgentEffect[] {
    return this.take({ kind: "dialTimer", dial: this.state.dial });
  }

  welcome(resumed = false, more: Partial<AgentSettings> = {}): AgentEffect[] {
    return this.hear({
      kind: "welcome",
      welcome: {
        deployment: "test",
        session: { epoch, number: this.session },
        generation: this.state.session?.generation ?? 1,
        resumed,
        settings: { ...settings, ...more },
        epoch,
        available: true,
      },
    });
  }

  /** A connected agent with its runner, its first beat acknowledged. */
  online(more: Partial<AgentSettings> = {}): this {
    this.runner();
    this.dial();
    this.welcome(false, more);
    this.ack();
    return this;
  }

  /** Acknowledges the latest beat or accept. */
  ack(sequence = this.state.session?.sequence ?? 0): AgentEffect[] {
    return this.hear({ kind: "beatAck", sequence, epoch });
  }

  offer(task: string, number = 1, slotCost = 1): AgentEffect[] {
    const spec = create(TaskSpecSchema, { slotCost, work: { case: "noop", value: {} } });
    const facts = factsOf(spec, `key of ${task}`, new Uint8Array());
    return this.hear({ kind: "offer", task, attempt: attempt(number), spec, facts });
  }

  /** Offers a trigger. */
  trigger(task: string, number = 1): AgentEffect[] {
    const spec = create(TaskSpecSchema, { work: { case: "trigger", value: {} } });
    const facts = factsOf(spec, `key of ${task}`, new Uint8Array());
    return this.hear({ kind: "offer", task, attempt: attempt(number), spec, facts });
  }

  emitted(task: string, event: number, number = 1): AgentEffect[] {
    const name = { task, attempt: attempt(number) };
    return this.take({
      kind: "attemptEmitted",
      ...name,
      number: event,
      payload: Buffer.from(`event ${event}`),
    });
  }

  confirm(task: string, number = 1, onCut = OnCut.UNSPECIFIED): AgentEffect[] {
    return this.hear({ kind: "confirm", task, attempt: attempt(number), onCut });
  }

  cancel(task: string, number = 1): AgentEffect[] {
    return this.hear({ kind: "cancel", task, attempt: attempt(number) });
  }

  answer(task: string, verdict: ReportVerdict, retryAfterMs?: number, number = 1): AgentEffect[] {
    return this.hear({
      kind: "reportAnswer",
      task,
      attempt: attempt(number),
      verdict,
      reason: "",
      retryAfterMs,
    });
  }

  verdict(task: string, verdict: InventoryVerdict, number = 1): AgentEffect[] {
    const verdicts = [{ task, attempt: attempt(number), verdict }];
    return this.hear({ kind: "inventoryAnswer", verdicts });
  }

  started(task: string, number = 1): AgentEffect[] {
    const name = { task, attempt: attempt(number) };
    return this.take({ kind: "attemptStarted", ...name, pid: 7, startedAtWallMs: 0 });
  }

  refused(task: string, reason: string, number = 1): AgentEffect[] {
    const name = { task, attempt: attempt(number) };
    return this.take({ kind: "attemptRefused", ...name, reason, message: "no" });
  }

  ended(task: string, number = 1, kind = OutcomeKind.SUCCEEDED): AgentEffect[] {
    const name = { task, attempt: attempt(number) };
    return this.take({ kind: "attemptEnded", ...name, outcome: outcome(kind) });
  }

  /** Offered, confirmed, started. */
  run(task: string, number = 1): void {
    this.offer(task, number);
    this.confirm(task, number);
    this.started(task, number);
  }

  /** The stream broke without a word. */
  cut(status = "unavailable", code?: string): AgentEffect[] {
    const end = { status, code, message: "broken", retryAfterMs: undefined };
    return this.take({ kind: "streamEnded", dial: this.state.dial, end });
  }
}

/** What was said to the control plane, by case. */
export function said(effects: readonly AgentEffect[]): string[] {
  return effects.flatMap((effect) =>
    effect.kind === "beat" ? ["beat"] : effect.kind === "send" ? [effect.says.case ?? ""] : [],
  );
}

type SaysCase = NonNullable<AgentSays["case"]>;
type SaysValue<Name extends SaysCase> = Extract<AgentSays, { case: Name; value: unknown }>["value"];

/** The first thing of one case that was said. */
export function saidOf<Name extends SaysCase>(
  effects: readonly AgentEffect[],
  name: Name,
): SaysValue<Name> | undefined {
  const values = effects.flatMap((effect) =>
    effect.kind === "send" && effect.says.case === name ? [effect.says.value] : [],
  );
  return values[0] as SaysValue<Name> | undefined;
}

/** Effects of one kind. */
export function only<Kind extends AgentEffect["kind"]>(
  effects: readonly AgentEffect[],
  kind: Kind,
): Extract<AgentEffect, { kind: Kind }>[] {
  return effects.filter(
    (effect): effect is Extract<AgentEffect, { kind: Kind }> => effect.kind === kind,
  );
}
