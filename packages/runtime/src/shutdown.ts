// SPDX-License-Identifier: Apache-2.0
// The end of a process: on a signal its parts stop in order, each with a deadline.

import type { Logger } from "./log.ts";

export interface StopHook {
  /** For the log, for example "agents' door". */
  readonly name: string;
  /** How long it may take; then the next one is stopped all the same. */
  readonly deadlineMs: number;
  stop(): Promise<void> | void;
}

export interface Shutdown {
  /** Aborted, with the reason, when the process begins to stop. */
  readonly signal: AbortSignal;
  /** Adds a part. Parts stop one after the other, the last added first. */
  add(hook: StopHook): void;
  /** Stops everything. A second call waits for the first. Settles when the last hook is done. */
  stop(reason: string): Promise<void>;
}

export function createShutdown(log: Logger): Shutdown {
  const hooks: StopHook[] = [];
  const abort = new AbortController();
  let stopping: Promise<void> | undefined;

  async function stopAll(reason: string): Promise<void> {
    log.info({ reason }, "stopping");
    abort.abort(new Error(reason));
    for (let hook = hooks.pop(); hook !== undefined; hook = hooks.pop()) {
      await stopOne(hook, log);
    }
    log.info("stopped");
  }

  return {
    signal: abort.signal,
    add(hook) {
      hooks.push(hook);
    },
    stop(reason) {
      stopping ??= stopAll(reason);
      return stopping;
    },
  };
}

async function stopOne(hook: StopHook, log: Logger): Promise<void> {
  const late = Symbol("late");
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<symbol>((resolve) => {
    timer = setTimeout(resolve, hook.deadlineMs, late);
  });
  try {
    const result = await Promise.race([Promise.resolve(hook.stop()), deadline]);
    if (result === late) {
      log.warn({ part: hook.name, durationMs: hook.deadlineMs }, "a part did not stop in time");
    }
  } catch (err) {
    log.error({ part: hook.name, err }, "stopping a part failed");
  } finally {
    clearTimeout(timer);
  }
}
