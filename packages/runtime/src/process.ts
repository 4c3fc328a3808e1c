// SPDX-License-Identifier: Apache-2.0
// What a process does at its edges: signals stop it in order, what nobody caught ends it loudly.

import type { Logger } from "./log.ts";
import type { Shutdown } from "./shutdown.ts";

export interface ProcessEvents {
  on(event: string, listener: (...facts: never[]) => void): unknown;
  exit(code: number): never | void;
}

export interface RunProcessOptions {
  readonly log: Logger;
  readonly shutdown: Shutdown;
  /** The process itself; tests give their own. */
  readonly events?: ProcessEvents;
}

/** Exit code of a process that a signal ended before it had stopped in order. */
const exitByForce = 130;

/**
 * Ties a process to its signals: SIGTERM and SIGINT stop it in order and exit 0, a second one exits at
 * once with 130. An unhandled rejection or uncaught exception is logged as fatal and exits 1: the state
 * of the process is not known then, and what it promised is kept by the store and by the leases.
 */
export function runProcess(options: RunProcessOptions): void {
  const { log, shutdown } = options;
  const events = options.events ?? process;
  let signals = 0;
  const onSignal = (signal: string) => {
    signals += 1;
    if (signals > 1) {
      log.warn({ reason: signal }, "second signal: exiting at once");
      events.exit(exitByForce);
      return;
    }
    void shutdown.stop(signal).then(() => events.exit(0));
  };
  events.on("SIGTERM", () => onSignal("SIGTERM"));
  events.on("SIGINT", () => onSignal("SIGINT"));
  const onFatal = (err: unknown) => {
    log.fatal({ err }, "an error that nobody handled; exiting");
    events.exit(1);
  };
  events.on("unhandledRejection", onFatal as never);
  events.on("uncaughtException", onFatal as never);
}
