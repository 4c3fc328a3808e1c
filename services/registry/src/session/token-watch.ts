// SPDX-License-Identifier: Apache-2.0
// Follows the token service's revocations, over broken streams too (PROTOCOL L7, SEC-T7).
import type { Revocation, WatchRevocationsResponse } from "@remex/proto/token/v1";
import {
  type CancelTimer,
  type Clock,
  createBackoff,
  type Logger,
  type Random,
} from "@remex/runtime";

export interface TokenWatchDeps {
  /** Opens the stream; its first frame holds what ended in the last hour. */
  watch(signal: AbortSignal): AsyncIterable<WatchRevocationsResponse>;
  /** A token ended; rejects when the store did not take it, and is then called again. */
  onEnded(deployment: string, token: string, reason: string): Promise<void>;
  /** Whether the stream is up. */
  onUp(up: boolean): void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: Random;
}

export interface TokenWatch {
  start(): void;
  stop(): void;
}

/** A stream that brings nothing for so long is given up; it brings a frame every 2 s. */
const silenceMs = 6_000;
/** How often what the store did not take is tried again. */
const retryMs = 1_000;

export function createTokenWatch(deps: TokenWatchDeps): TokenWatch {
  const { clock, log } = deps;
  const backoff = createBackoff({
    baseMs: 200,
    maxMs: 2_000,
    ...(deps.random === undefined ? {} : { random: deps.random }),
  });
  const pending = new Map<string, { deployment: string; token: string; reason: string }>();
  let abort: AbortController | undefined;
  let cancelRetry: CancelTimer | undefined;
  let cancelRedial: CancelTimer | undefined;
  let stopped = true;

  function take({ credential, deployment, reason }: Revocation): void {
    if (credential.case !== "agentToken") return;
    const token = credential.value;
    pending.set(`${deployment}/${token}`, { deployment, token, reason: `token_${reason}` });
  }

  async function work(): Promise<void> {
    for (const [name, { deployment, token, reason }] of [...pending]) {
      try {
        await deps.onEnded(deployment, token, reason);
        pending.delete(name);
      } catch (err) {
        log.warn({ deployment, reason, err }, "ending the sessions of a token failed");
      }
    }
  }

  async function follow(): Promise<void> {
    const own = new AbortController();
    abort = own;
    let cancelSilence = clock.after(silenceMs, () => own.abort());
    try {
      for await (const { revocations } of deps.watch(own.signal)) {
        cancelSilence();
        cancelSilence = clock.after(silenceMs, () => own.abort());
        backoff.reset();
        deps.onUp(true);
        for (const revocation of revocations) take(revocation);
        if (pending.size > 0) void work();
      }
    } catch (err) {
      if (!stopped) log.warn({ err }, "following revocations broke");
    } finally {
      cancelSilence();
    }
    if (stopped) return;
    deps.onUp(false);
    cancelRedial = clock.after(backoff.nextMs(), () => void follow());
  }

  return {
    start() {
      stopped = false;
      cancelRetry = clock.every(retryMs, () => {
        if (pending.size > 0) void work();
      });
      void follow();
    },
    stop() {
      stopped = true;
      cancelRetry?.();
      cancelRedial?.();
      abort?.abort();
    },
  };
}
