// SPDX-License-Identifier: Apache-2.0
// The agent at work: feeds the machine with what happens, and performs what it decides.

import { create } from "@bufbuild/protobuf";
import type { Metadata } from "@grpc/grpc-js";
import { leaseRemainingMs, type NumberedRef, refFromWire } from "@remex/domain";
import {
  type AgentEvent,
  AgentEventSchema,
  type Capabilities,
  type LogFetch,
  type SessionResponse,
  type Welcome,
} from "@remex/proto/agent/v1";
import { OnCut } from "@remex/proto/common/v1";
import type { AgentEventJson, RunnerEventJson } from "@remex/proto/runner/v1";
import type { Clock, Logger, Random } from "@remex/runtime";
import type { GrpcChannel } from "@remex/transport";
import type { CallBook, CallerName } from "../calls/call-book.ts";
import { CallSender } from "../calls/call-sender.ts";
import { attemptNameOf } from "../contract/frame-check.ts";
import { stepAgent } from "../session/agent-machine.ts";
import {
  type AgentEffect,
  type AgentMachineEvent,
  type AgentState,
  createAgentState,
  type FormerInstance,
  type HelloPlan,
} from "../session/agent-state.ts";
import type { StreamEnd } from "../session/dial-outcome.ts";
import { heldKey } from "../session/turn.ts";
import type { AgentMetrics } from "./agent-metrics.ts";
import type { SideCalls } from "./forward.ts";
import { type AgentDescription, capabilitiesOf, helloEvent } from "./hello.ts";
import { LogBook } from "./log-book.ts";
import { logRequestOf, sendLog } from "./log-sender.ts";
import { Loopback } from "./loopback.ts";
import { instructionJson, type RunnerInstruction, runnerSaysOf } from "./runner-convert.ts";
import { serverSaysOf } from "./server-convert.ts";
import { passMetadata, type SessionPass, SessionStream, tokenMetadata } from "./session-stream.ts";

export interface AgentOptions extends AgentDescription {
  readonly stateDir: string;
  readonly channel: GrpcChannel;
  /** Reads the token; asked at each new session, so that a replaced file takes effect. */
  readonly readToken: () => string;
  /** Says to the runner. */
  readonly tellRunner: (event: AgentEventJson) => void;
  /** A dial failed without a word from the control plane: find out at which step. */
  readonly onUnreachable: (end: StreamEnd) => void;
  /** Who had the state directory before; see `readFormerInstance`. */
  readonly former?: FormerInstance | undefined;
  /**
   * A runner, and with it the state directory's lock, is this agent's; `held`: not for the first time. False
   * when another agent held the lock meanwhile.
   */
  readonly onRunner: (held: boolean) => boolean;
  /** Another agent had the state directory meanwhile: this one must end, nothing of it runs. */
  readonly onOverthrown: () => void;
  /** A session was opened: who takes the state directory over will need to know. */
  readonly onSession: (session: NumberedRef) => void;
  /** Where calls of Airflow's API wait while the agent is cut off; without it none does. */
  readonly calls?: CallBook | undefined;
  /** The agent has said goodbye. */
  readonly onLeft: () => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: AgentMetrics;
  readonly random: Random;
}

/** How long a task's question is held open while the agent is cut off; then its caller tries again. */
const holdQuestionMs = 30_000;

/** How often the work loop turns when nothing happens (T5). */
const turnMs = 100;

/** The agent's shell. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #state: AgentState;
  readonly #loopback: Loopback;
  readonly #logs: LogBook;
  readonly #calls: CallSender | undefined;
  #stream: SessionStream | undefined;
  #pass: SessionPass | undefined;
  #runtimes: readonly string[] = [];
  #hadRunner = false;
  #runtimeVersions: Readonly<Record<string, string>> = {};
  #cut = new AbortController();
  #stopTurning: () => void = () => undefined;
  #cancelDial: () => void = () => undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#state = createAgentState(
      { slots: options.slots, former: options.former },
      options.clock.nowMs(),
    );
    this.#logs = new LogBook(options.stateDir);
    this.#loopback = new Loopback({
      log: options.log,
      clock: options.clock,
      sideCalls: () => this.#sideCalls(),
      book: options.calls,
      onKept: (name) => this.#step({ kind: "callsKept", ...name }),
      holdMs: holdQuestionMs,
    });
    this.#calls =
      options.calls === undefined ? undefined : new CallSender(options.calls, options.log);
  }

  /** Begins to turn; the first dial follows the runner's hello. */
  async start(): Promise<void> {
    for (const name of this.#options.calls?.load() ?? []) {
      this.#step({ kind: "callsKept", ...name });
    }
    await this.#loopback.listen();
    this.#stopTurning = this.#options.clock.every(turnMs, () => this.#step({ kind: "turn" }));
  }

  /** Takes no new work, and leaves when what runs has ended. */
  drain(reason: string, deadlineMs: number | undefined): void {
    this.#step({ kind: "drain", reason, deadlineMs });
  }

  /** Stops what runs, then leaves. */
  stopWork(reason: string): void {
    this.#step({ kind: "stopWork", reason });
  }

  /** Events of the runner, in order. */
  takeRunnerEvents(events: readonly RunnerEventJson[]): void {
    for (const event of events) {
      const refusal = event.hello?.error;
      if (refusal !== undefined) {
        // It closes next, and the keeper tries again: an older agent's runner may be ending.
        this.#options.log.error({ reason: refusal.message }, "runner refuses this agent");
        continue;
      }
      if (event.hello !== undefined) {
        if (!this.#options.onRunner(this.#hadRunner)) {
          this.#options.log.fatal("another agent has used the state directory meanwhile; exiting");
          this.#options.onOverthrown();
          return;
        }
        this.#hadRunner = true;
        this.#noteRunnerHello(event.hello);
      }
      if (event.started?.logPath !== undefined) {
        const { task, attempt } = attemptNameOf(event.started);
        this.#logs.note(task, attempt, event.started.logPath);
      }
      const says = runnerSaysOf(event);
      if (says !== undefined) this.#step(says);
    }
  }

  /** The runner found the state directory locked. */
  noteStateLocked(): void {
    this.#step({ kind: "stateLocked" });
  }

  noteRunnerLost(): void {
    this.#step({ kind: "runnerLost" });
  }

  /** What the local port shows. */
  status(): { readonly connected: boolean; readonly leaseMs: number; readonly runner: string } {
    const { connection, lease, runner } = this.#state;
    return {
      connected: connection.kind === "online",
      leaseMs: leaseRemainingMs(lease, this.#options.clock.nowMs()),
      runner: runner.kind,
    };
  }

  async close(): Promise<void> {
    this.#stopTurning();
    this.#cancelDial();
    this.#stream?.hangUp();
    await this.#loopback.close();
  }

  #noteRunnerHello(hello: NonNullable<RunnerEventJson["hello"]>): void {
    this.#runtimes = hello.runtimes ?? [];
    this.#runtimeVersions = hello.runtimeVersions ?? {};
    for (const entry of hello.journal ?? []) {
      const { task, attempt } = attemptNameOf(entry);
      if (entry.logPath !== undefined) this.#logs.note(task, attempt, entry.logPath);
    }
  }

  #sideCalls(): SideCalls | undefined {
    const stream = this.#stream;
    const metadata = this.#sideMetadata();
    if (stream === undefined || metadata === undefined) return undefined;
    if (this.#state.connection.kind !== "online") return undefined;
    return { client: stream.client, metadata: () => metadata };
  }

  /** Deals with kept calls of an attempt; what cannot be sent now waits for the next word. */
  async #settleCalls(name: CallerName, isCurrent: boolean): Promise<void> {
    const calls = this.#calls;
    const sideCalls = this.#sideCalls();
    if (calls === undefined) return;
    let dropped = 0;
    if (!isCurrent) dropped = await calls.drop(name, "attempt_not_current");
    else if (sideCalls === undefined) return;
    else {
      const result = await calls.send(name, sideCalls, this.#cut.signal);
      if (result === undefined || result === "waiting") return;
      dropped = result.dropped;
    }
    this.#step({ kind: "callsSettled", task: name.task, attempt: name.attempt, dropped });
  }

  #noteCut(): void {
    this.#loopback.noteCut();
    this.#cut.abort();
    this.#cut = new AbortController();
  }

  #step(event: AgentMachineEvent): void {
    const wasOnline = this.#state.connection.kind === "online";
    for (const effect of stepAgent(this.#state, event, this.#options.clock.nowMs())) {
      this.#perform(effect);
    }
    if (wasOnline && this.#state.connection.kind !== "online") this.#noteCut();
    if (event.kind === "turn") this.#options.metrics.note(this.#state);
  }

  #perform(effect: AgentEffect): void {
    switch (effect.kind) {
      case "send":
        this.#say(create(AgentEventSchema, { event: effect.says }));
        return;
      case "beat": {
        const { beat, withCapabilities } = effect;
        const capabilities = withCapabilities ? { capabilities: this.#capabilities() } : {};
        const value = { ...beat, ...capabilities };
        this.#say(create(AgentEventSchema, { event: { case: "beat", value } }));
        return;
      }
      case "startWork":
      case "stopWork":
      case "forgetWork":
      case "eventsDurable":
      case "renewRunner":
        this.#instructRunner(effect);
        return;
      case "waitToDial":
        this.#waitToDial(effect);
        return;
      case "dial":
        this.#dial(effect.dial, effect.hello);
        return;
      case "hangUp":
        this.#stream?.hangUp();
        this.#stream = undefined;
        return;
      case "sendCalls":
      case "dropCalls":
        void this.#settleCalls(effect, effect.kind === "sendCalls").catch((err) =>
          this.#options.log.error({ err, task: effect.task }, "kept calls could not be dealt with"),
        );
        return;
      case "attemptOver":
        this.#loopback.dismiss(effect.task, effect.attempt);
        return;
      case "leave":
        this.#options.onLeft();
        return;
      case "log":
        this.#options.log[effect.level](effect.fields, effect.message);
        return;
      default:
        effect satisfies never;
    }
  }

  // ---- the runner -------------------------------------------------------------------------------

  #instructRunner(effect: RunnerInstruction): void {
    const nowMs = this.#options.clock.nowMs();
    const onCut = effect.kind === "startWork" ? effect.onCut : OnCut.CONTINUE;
    const airflowApi = (task: string, attempt: NumberedRef) =>
      this.#loopback.admit(task, attempt, onCut);
    this.#options.tellRunner(instructionJson(effect, nowMs, airflowApi));
  }

  // ---- the control plane ------------------------------------------------------------------------

  #say(event: AgentEvent): void {
    this.#stream?.send(event);
  }

  #capabilities(): Capabilities {
    return capabilitiesOf(this.#options, this.#runtimes, this.#runtimeVersions);
  }

  #waitToDial(effect: Extract<AgentEffect, { kind: "waitToDial" }>): void {
    const { dial, floorMs, jitterMs } = effect;
    const delayMs = floorMs + Math.floor(this.#options.random() * jitterMs);
    this.#cancelDial();
    this.#cancelDial = this.#options.clock.after(delayMs, () =>
      this.#step({ kind: "dialTimer", dial }),
    );
  }

  #dial(dial: number, plan: HelloPlan): void {
    this.#stream = undefined;
    let metadata: Metadata;
    try {
      metadata = this.#dialMetadata(plan);
    } catch (error) {
      const message = (error as Error).message;
      const end = { status: "unauthenticated", code: "token_unreadable", message };
      this.#step({ kind: "streamEnded", dial, end: { ...end, retryAfterMs: undefined } });
      return;
    }
    this.#options.metrics.dials.inc();
    const stream: SessionStream = new SessionStream({
      channel: this.#options.channel,
      metadata,
      hello: helloEvent(this.#options, this.#capabilities(), plan),
      onFrame: (frame) => this.#takeFrame(dial, stream, frame),
      onEnd: (end) => this.#noteEnd(dial, stream, end),
    });
    this.#stream = stream;
  }

  #dialMetadata(plan: HelloPlan): Metadata {
    const pass = this.#pass;
    if (plan.resume !== undefined && pass !== undefined) return passMetadata(pass);
    return tokenMetadata(this.#options.readToken());
  }

  #takeFrame(dial: number, stream: SessionStream, frame: SessionResponse): void {
    const session = refFromWire(frame.session);
    for (const { event } of frame.events) {
      if (stream !== this.#stream) return;
      if (event.case === "welcome") this.#noteWelcome(stream, event.value);
      else if (event.case === "sessionKey") this.#noteKey(event.value.key);
      else if (event.case === "logFetch") this.#answerFetch(stream, event.value);
      const says = serverSaysOf(event);
      if (says !== undefined) this.#step({ kind: "server", dial, session, says });
    }
  }

  #noteWelcome(stream: SessionStream, welcome: Welcome): void {
    const session = refFromWire(welcome.session);
    if (session === undefined) return;
    stream.welcomed(session, Number(welcome.generation));
    if (!welcome.resumed) this.#options.onSession(session);
    const { deployment, sessionKey } = welcome;
    const key = sessionKey?.key ?? this.#pass?.key ?? new Uint8Array();
    this.#pass = { deployment, agent: this.#options.name, session, key };
  }

  #noteKey(key: Uint8Array): void {
    if (this.#pass !== undefined) this.#pass = { ...this.#pass, key };
  }

  #sideMetadata(): Metadata | undefined {
    return this.#pass === undefined ? undefined : passMetadata(this.#pass);
  }

  #noteEnd(dial: number, stream: SessionStream, end: StreamEnd): void {
    if (stream === this.#stream) this.#stream = undefined;
    stream.client.close();
    if (end.status === "unavailable" || end.status === "deadline_exceeded") {
      this.#options.onUnreachable(end);
    }
    this.#step({ kind: "streamEnded", dial, end });
  }

  #answerFetch(stream: SessionStream, fetch: LogFetch): void {
    const metadata = this.#sideMetadata();
    if (metadata === undefined) return;
    const { clock, log } = this.#options;
    const { task } = fetch;
    const attempt = refFromWire(fetch.attempt);
    const sideCalls = { client: stream.client, metadata: () => metadata };
    const path = this.#logs.find(task, attempt);
    const isLive = () => mayStillWrite(this.#state, task, attempt);
    void sendLog(logRequestOf(fetch), { clock, log, sideCalls, path, isLive }).catch((err) =>
      log.warn({ err, task }, "log cannot be sent"),
    );
  }
}

/** True when the attempt, or any of the task when none is named, may still write its log. */
function mayStillWrite(state: AgentState, task: string, attempt: NumberedRef | undefined): boolean {
  if (attempt !== undefined) {
    return state.held.get(heldKey(task, attempt))?.stage.kind === "started";
  }
  for (const held of state.held.values()) {
    if (held.task === task && held.stage.kind === "started") return true;
  }
  return false;
}
