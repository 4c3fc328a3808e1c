// SPDX-License-Identifier: Apache-2.0
// Keeps a runner for the agent: starts its process or finds its socket, and again when it was lost.

import { type ChildProcess, spawn } from "node:child_process";
import type { AgentEventJson, RunnerEventJson } from "@remex/proto/runner/v1";
import { type Clock, createBackoff, type Logger, sleep } from "@remex/runtime";
import { connectRunner, type RunnerConnection } from "./runner-connection.ts";

export interface RunnerKeeperOptions {
  /** Program and arguments; absent when somebody else starts the runner (a sidecar). */
  readonly command: readonly string[] | undefined;
  readonly socketPath: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly agent: string;
  readonly instance: Uint8Array;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onEvents: (events: readonly RunnerEventJson[]) => void;
  readonly onLost: () => void;
  /** The state directory is locked by another runner, or by work that one left behind. */
  readonly onLocked: () => void;
}

/** How a runner ends that found the state directory locked. */
const exitLocked = 75;
/** Tells a runner that its refusal was told before, so that a locked directory fills no log. */
const retryVariable = "REMEX_RUNNER_RETRY";

/** How often the socket is tried while the runner starts. */
const connectEveryMs = 50;
/** A runner that was told to end, or closed its end, has so long until it is killed. */
const endLimitMs = 15_000;

/** One runner at a time. */
export class RunnerKeeper {
  readonly #options: RunnerKeeperOptions;
  readonly #stopped = new AbortController();
  #connection: RunnerConnection | undefined;
  #child: ChildProcess | undefined;
  #childEnded: Promise<void> = Promise.resolve();
  #locked = false;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: RunnerKeeperOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop = this.#keep();
  }

  /** Says something to the runner; lost when there is none, as the machine knows. */
  send(event: AgentEventJson): void {
    this.#connection?.send(event);
  }

  /** Tells the runner to end and waits until its process has. */
  async stop(): Promise<void> {
    this.#stopped.abort(new Error("the agent ends"));
    if (this.#options.command !== undefined) this.#connection?.send({ shutdown: {} });
    else this.#connection?.close();
    await this.#endChild();
    this.#connection?.close();
    await this.#loop;
  }

  async #keep(): Promise<void> {
    const { clock, log } = this.#options;
    const backoff = createBackoff({ baseMs: 500, maxMs: 10_000 });
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        this.#startChild();
        const connectedAtMs = clock.nowMs();
        await this.#serveOnce(signal);
        if (clock.nowMs() - connectedAtMs > 10_000) backoff.reset();
      } catch (error) {
        if (signal.aborted) return;
        if (!this.#locked) log.error({ err: error }, "runner cannot be reached");
      }
      await this.#endChild();
      if (!signal.aborted) await sleep(clock, backoff.nextMs(), signal).catch(() => undefined);
    }
  }

  #startChild(): void {
    const { command, environment, log } = this.#options;
    if (command === undefined) return;
    const [program = "", ...args] = command;
    const child = spawn(program, args, {
      env: this.#locked ? { ...environment, [retryVariable]: "1" } : environment,
      // Its standard input tells it when the agent is gone; its log is on standard error.
      stdio: ["pipe", "ignore", "inherit"],
      // A group of its own: Ctrl-C is for the agent, which ends the runner in order.
      detached: true,
    });
    child.stdin?.on("error", () => undefined);
    this.#child = child;
    this.#childEnded = new Promise((resolve) => {
      child.once("error", (err) => {
        log.error({ err, reason: program }, "runner cannot be started; see --runner-command");
        this.#child = undefined;
        resolve();
      });
      child.once("exit", (code, signal) => {
        this.#noteEnd(code);
        if (!this.#locked)
          log.info({ reason: signal ?? `exit code ${code}` }, "runner process ended");
        this.#child = undefined;
        resolve();
      });
    });
  }

  #noteEnd(code: number | null): void {
    const before = this.#locked;
    this.#locked = code === exitLocked;
    if (!this.#locked) return;
    if (!before) {
      const reason = "the state directory is locked; it is tried again until it is free";
      this.#options.log.error({ reason }, "runner cannot start");
    }
    this.#options.onLocked();
  }

  /** Connects as soon as the runner listens, then waits until the connection has closed. */
  async #serveOnce(signal: AbortSignal): Promise<void> {
    const { socketPath, agent, instance, onEvents, log } = this.#options;
    const { promise: closed, resolve } = Promise.withResolvers<string>();
    const options = { socketPath, agent, instance, onEvents, onClosed: resolve };
    this.#connection = await this.#connect(options, signal);
    const reason = await closed;
    this.#connection = undefined;
    if (!signal.aborted) log.warn({ reason }, "runner connection closed");
    this.#options.onLost();
  }

  async #connect(
    options: Parameters<typeof connectRunner>[0],
    signal: AbortSignal,
  ): Promise<RunnerConnection> {
    const { clock, command } = this.#options;
    for (;;) {
      signal.throwIfAborted();
      if (command !== undefined && this.#child === undefined) {
        throw new Error("the runner's process ended before it listened");
      }
      try {
        return await connectRunner(options);
      } catch {
        // Not listening yet; whether it ever will is judged by its process above.
        await sleep(clock, connectEveryMs, signal);
      }
    }
  }

  /** Waits until the runner's process has ended; one that does not is killed. */
  async #endChild(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.stdin?.end();
    const cancel = this.#options.clock.after(endLimitMs, () => child.kill("SIGKILL"));
    await this.#childEnded;
    cancel();
  }
}
