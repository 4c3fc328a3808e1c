// SPDX-License-Identifier: Apache-2.0
// Performs what the runner's machine decides: journal, processes, and what the agent is told.

import { formatRef } from "@remex/domain";
import type { TriggerWorkJson } from "@remex/proto/common/v1";
import type { AgentEventJson, RunnerEventJson } from "@remex/proto/runner/v1";
import type { Clock, Logger } from "@remex/runtime";
import {
  type AttemptName,
  attemptNameOf,
  refOfJson,
  requireSpec,
} from "../contract/frame-check.ts";
import { FramingError } from "../contract/framing.ts";
import { parseDurationText } from "../contract/json-time.ts";
import { logPathOf } from "./attempt-log.ts";
import type { Journal } from "./journal.ts";
import { attemptKey } from "./journal-record.ts";
import { type LaunchedWork, launchCommand } from "./launcher.ts";
import type { LeaderProgram } from "./leader.ts";
import type { Exit } from "./outcome.ts";
import {
  type AttemptCookie,
  descendantsOf,
  findProcesses,
  markOf,
  runnerMark,
  signalProcess,
} from "./process-tree.ts";
import { stepRunner } from "./runner-machine.ts";
import {
  createRunnerState,
  type Instant,
  keyOf,
  type RunnerEffect,
  type RunnerMachineEvent,
  type RunnerState,
} from "./runner-state.ts";
import { TriggerHost } from "./triggers/trigger-host.ts";
import type { TriggerIo } from "./triggers/trigger-io.ts";
import { readTrigger } from "./triggers/trigger-spec.ts";

export interface RunnerShellOptions {
  readonly stateDir: string;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Logger;
  /** What every task gets; see `cleanEnvironment`. */
  readonly environment: Readonly<Record<string, string>>;
  /** What triggers reach outside. */
  readonly triggerIo: TriggerIo;
  /** Absent where this system has no leaders. */
  readonly leader: LeaderProgram | undefined;
  /** Tells the agent; nobody listens when it is gone. */
  readonly send: (event: RunnerEventJson) => void;
  /** The same, when another event follows soon. */
  readonly sendLazily: (event: RunnerEventJson) => void;
  /** Everything has ended and is in the journal. */
  readonly onExit: () => void;
}

/** How often deadlines are looked at; also how finely a stall of this process is noticed. */
const tickMs = 100;

/** A stopped trigger is gone at once and left no process. */
const triggerExit: Exit = { code: undefined, signal: undefined, outOfMemory: false };

interface LiveProcess extends LaunchedWork {
  readonly cookie: AttemptCookie;
}

/** One runner at work. */
export class RunnerShell {
  readonly #options: RunnerShellOptions;
  readonly #mark: string;
  readonly #state: RunnerState;
  readonly #processes = new Map<string, LiveProcess>();
  readonly #triggers: TriggerHost;
  readonly #stopTicking: () => void;
  #effects: RunnerEffect[] = [];
  #lastTickMs: number;
  #performing = false;

  constructor(options: RunnerShellOptions) {
    this.#options = options;
    this.#mark = runnerMark(options.stateDir);
    this.#state = createRunnerState(options.journal.entries().map(attemptKey));
    this.#triggers = new TriggerHost({
      clock: options.clock,
      io: options.triggerIo,
      onEvent: (key, number, payload) => this.#step({ kind: "emitted", key, number, payload }),
      onEnd: (key, message) => this.#step({ kind: "concluded", key, message }),
    });
    this.#lastTickMs = options.clock.nowMs();
    this.#stopTicking = options.clock.every(tickMs, () => {
      this.#lastTickMs = options.clock.nowMs();
      if (this.#state.attempts.size > 0) this.#step({ kind: "tick" });
    });
  }

  /** Takes the events of a frame, in order. */
  take(events: readonly AgentEventJson[]): void {
    const arrivedAtMs = this.#arrivalMs();
    this.#gather(() => {
      for (const event of events) this.#takeOne(event, arrivedAtMs);
    });
  }

  /** The agent's end closed, or the runner is told to end: stops everything, then calls `onExit`. */
  close(): void {
    this.#step({ kind: "close" });
  }

  /** Attempts that run or are being stopped. */
  get running(): number {
    return this.#state.attempts.size;
  }

  /**
   * When a frame read now may have arrived. If this process stood still, the frame may have waited in
   * the socket all the while, so what it grants is counted from the last turn before that.
   */
  #arrivalMs(): number {
    const now = this.#options.clock.nowMs();
    return now - this.#lastTickMs > 10 * tickMs ? this.#lastTickMs : now;
  }

  #takeOne(event: AgentEventJson, arrivedAtMs: number): void {
    if (event.lease !== undefined) this.#takeLease(event.lease, arrivedAtMs);
    else if (event.start !== undefined) this.#takeStart(event.start, arrivedAtMs);
    else if (event.stop !== undefined) {
      const reason = event.stop.reason ?? "STOP_REASON_UNSPECIFIED";
      this.#step({ kind: "stop", name: attemptNameOf(event.stop), reason });
    } else if (event.forget !== undefined) {
      this.#step({ kind: "forget", name: attemptNameOf(event.forget) });
    } else if (event.eventsDurable !== undefined) {
      const { durableNumber } = event.eventsDurable;
      this.#triggers.durable(keyOf(attemptNameOf(event.eventsDurable)), Number(durableNumber ?? 0));
    } else if (event.shutdown !== undefined) this.close();
  }

  #takeLease(lease: NonNullable<AgentEventJson["lease"]>, arrivedAtMs: number): void {
    const session = refOfJson(lease.session);
    if (session === undefined) throw new FramingError("a lease names no session");
    this.#step({
      kind: "lease",
      session,
      untilMs: arrivedAtMs + (parseDurationText(lease.remaining) ?? 0),
      stopMs: parseDurationText(lease.stopTime) ?? 0,
    });
  }

  #takeStart(start: NonNullable<AgentEventJson["start"]>, arrivedAtMs: number): void {
    const name = attemptNameOf(start);
    const session = refOfJson(start.session);
    if (session === undefined) throw new FramingError("a start names no session");
    requireSpec(start);
    this.#step({
      kind: "start",
      name,
      session,
      windowUntilMs: arrivedAtMs + (parseDurationText(start.window) ?? 0),
      start,
      logPath: logPathOf(this.#options.stateDir, name.task, name.attempt),
    });
  }

  #now(): Instant {
    return { ms: this.#options.clock.nowMs(), wallMs: this.#options.clock.wallMs() };
  }

  #step(event: RunnerMachineEvent): void {
    this.#gather(() => this.#effects.push(...stepRunner(this.#state, event, this.#now())));
  }

  /** Runs `decide`, which may step often, and performs all effects together afterwards. */
  #gather(decide: () => void): void {
    if (this.#performing) {
      decide();
      return;
    }
    this.#performing = true;
    try {
      decide();
      while (this.#effects.length > 0) {
        const effects = this.#effects;
        this.#effects = [];
        this.#perform(effects);
      }
    } finally {
      this.#performing = false;
    }
  }

  /** Journal first: what is launched or told after it is in the kernel's hands already. */
  #perform(effects: readonly RunnerEffect[]): void {
    const { journal } = this.#options;
    const told: RunnerEventJson[] = [];
    for (const effect of effects) {
      if (effect.kind === "note" || effect.kind === "finish") journal.note(effect.record);
      if (effect.kind === "finish") told.push(effect.event);
    }
    journal.write();
    for (const effect of effects) this.#performOne(effect);
    if (told.length > 0) {
      journal.commit(() => {
        for (const event of told) this.#options.send(event);
      });
    }
    if (effects.some((effect) => effect.kind === "exit")) this.#exit();
  }

  #performOne(effect: RunnerEffect): void {
    switch (effect.kind) {
      case "send":
        // While a sync is under way, the outcomes that wait for it take the news of a start along.
        if (this.#options.journal.syncing) this.#options.sendLazily(effect.event);
        else this.#options.send(effect.event);
        return;
      case "launch":
        this.#launch(effect);
        return;
      case "signal":
        this.#signal(effect);
        return;
      case "clear":
        this.#clear(effect.key);
        return;
      case "sweep":
        this.#sweep(effect.keys);
        return;
      case "note":
      case "finish":
      case "exit":
        return;
      default:
        effect satisfies never;
    }
  }

  #launch(effect: Extract<RunnerEffect, { kind: "launch" }>): void {
    const { key, start, logPath, stopMs } = effect;
    if (start.spec?.trigger !== undefined) {
      this.#launchTrigger(key, start.spec.trigger);
      return;
    }
    const cookie = this.#cookieOf(attemptNameOf(start));
    const { environment, leader } = this.#options;
    const outcome = launchCommand({
      work: start.spec?.command ?? {},
      cookie,
      logPath,
      environment,
      leader,
      stopMs,
      onStarted: (pid) => this.#step({ kind: "launched", key, pid, logPath }),
      onExit: (exit) => this.#noteExit(key, exit),
      onFailed: (message) => {
        this.#processes.delete(key);
        this.#step({ kind: "launchFailed", key, message });
      },
    });
    if (outcome.kind === "failed") {
      this.#step({ kind: "launchFailed", key, message: outcome.message });
      return;
    }
    const { work } = outcome;
    this.#processes.set(key, { ...work, cookie });
    if (work.stop === undefined) this.#step({ kind: "launched", key, pid: work.pid, logPath });
  }

  #launchTrigger(key: string, work: TriggerWorkJson): void {
    const read = readTrigger(work);
    if (!read.ok) {
      this.#step({ kind: "launchFailed", key, message: read.failure.message });
      return;
    }
    this.#step({ kind: "launched", key, pid: undefined, logPath: undefined });
    this.#triggers.launch(key, read.value);
  }

  #noteExit(key: string, exit: Exit): void {
    const process = this.#processes.get(key);
    // Perhaps somebody killed the leader itself: then nobody has seen to what it led.
    if (process?.stop !== undefined && exit.signal === "SIGKILL") killCarriers([process.cookie]);
    this.#step({ kind: "exited", key, exit });
    // An attempt that is being stopped is kept until nothing of it is left.
    if (!this.#state.attempts.has(key)) this.#processes.delete(key);
  }

  #signal({ keys, signal, graceMs }: Extract<RunnerEffect, { kind: "signal" }>): void {
    for (const key of keys) if (this.#triggers.stop(key)) this.#noteExit(key, triggerExit);
    const live = this.#livesOf(keys);
    const led = live.filter((process) => process.stop !== undefined);
    const alone = live.filter((process) => process.stop === undefined);
    if (signal === "SIGTERM") for (const { stop } of led) stop?.(graceMs);
    else endLed(led);
    for (const { pid } of alone) signalProcess(-pid, signal);
    const found = findProcesses(alone.map((process) => process.cookie));
    for (const pids of found.values()) for (const pid of pids) signalProcess(pid, signal);
  }

  #clear(key: string): void {
    const process = this.#processes.get(key);
    // A leader ends only after everything that it led.
    if (process !== undefined && process.stop === undefined) signalProcess(-process.pid, "SIGKILL");
  }

  #sweep(keys: readonly string[]): void {
    const found = findProcesses(this.#livesOf(keys).map((process) => process.cookie));
    for (const key of keys) {
      const process = this.#processes.get(key);
      const remaining =
        process === undefined ? 0 : (found.get(markOf(process.cookie))?.length ?? 0);
      this.#step({ kind: "swept", key, remaining });
      if (!this.#state.attempts.has(key)) this.#processes.delete(key);
    }
  }

  #livesOf(keys: readonly string[]): LiveProcess[] {
    return keys.flatMap((key) => this.#processes.get(key) ?? []);
  }

  #exit(): void {
    this.#stopTicking();
    this.#options.journal.close();
    this.#options.onExit();
  }

  #cookieOf(name: AttemptName): AttemptCookie {
    return { runner: this.#mark, task: name.task, attempt: formatRef(name.attempt) };
  }
}

/** What leaders should have done by now; one that somebody stopped is woken to reap. */
function endLed(led: readonly LiveProcess[]): void {
  if (led.length === 0) return;
  for (const pid of descendantsOf(led.map((process) => process.pid))) signalProcess(pid, "SIGKILL");
  for (const { pid } of led) signalProcess(pid, "SIGCONT");
  killCarriers(led.map((process) => process.cookie));
}

function killCarriers(cookies: readonly AttemptCookie[]): void {
  for (const pids of findProcesses(cookies).values()) {
    for (const pid of pids) signalProcess(pid, "SIGKILL");
  }
}
