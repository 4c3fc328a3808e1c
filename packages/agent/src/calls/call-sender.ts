// SPDX-License-Identifier: Apache-2.0
// Sends kept calls on, in order, once the control plane has said that their attempt is current (E1).

import { formatRef } from "@remex/domain";
import type { Logger } from "@remex/runtime";
import { type SideCalls, statusFor } from "../shell/forward.ts";
import type { CallBook, CallerName } from "./call-book.ts";
import { forwardWhole } from "./whole-call.ts";

/** `settled`: none is left, so many were dropped; `waiting`: contact was lost or Airflow is away, they stay kept. */
export type SendResult = { readonly kind: "settled"; readonly dropped: number } | "waiting";

/** Longer than Airflow needs for any of these. */
const callLimitMs = 60_000;
/** Answers by which Airflow says that the task instance is not this attempt's any more. */
const refusals: ReadonlySet<number> = new Set([401, 403, 404, 409, 410]);
/** So often an error of Airflow's own is met before the calls are dropped. */
const mostTries = 30;

/** Sends the calls of attempts; one sending per attempt at a time. */
export class CallSender {
  readonly #book: CallBook;
  readonly #log: Logger;
  readonly #tries = new Map<string, number>();
  readonly #sending = new Set<string>();

  constructor(book: CallBook, log: Logger) {
    this.#book = book;
    this.#log = log;
  }

  /** Sends what waits; undefined when it is being sent already. */
  async send(
    name: CallerName,
    sideCalls: SideCalls,
    signal: AbortSignal,
  ): Promise<SendResult | undefined> {
    const key = `${name.task}/${formatRef(name.attempt)}`;
    if (this.#sending.has(key)) return undefined;
    this.#sending.add(key);
    try {
      const result = await this.#sendAll(name, key, sideCalls, signal);
      if (result !== "waiting") this.#tries.delete(key);
      return result;
    } finally {
      this.#sending.delete(key);
    }
  }

  /** The attempt is not current: nothing of it may reach Airflow. Gives how many calls that were. */
  async drop(name: CallerName, reason: string): Promise<number> {
    const calls = await this.#book.remove(name);
    if (calls === 0) return 0;
    const { task } = name;
    const attempt = formatRef(name.attempt);
    this.#log.warn({ task, attempt, calls, reason }, "kept calls of an attempt were dropped");
    return calls;
  }

  async #sendAll(
    name: CallerName,
    key: string,
    sideCalls: SideCalls,
    signal: AbortSignal,
  ): Promise<SendResult> {
    for (;;) {
      const call = this.#book.oldest(name);
      if (call === undefined) break;
      const answer = await forwardWhole(sideCalls, name, call, callLimitMs, signal);
      const status = answer.kind === "answered" ? answer.status : statusFor(answer.failure);
      if (status >= 500) {
        const away = answer.kind === "failed" && status !== 502;
        if (away || this.#mayTryAgain(key)) return "waiting";
        return { kind: "settled", dropped: await this.drop(name, "airflow_error") };
      }
      if (refusals.has(status)) {
        return { kind: "settled", dropped: await this.drop(name, `status_${status}`) };
      }
      if (status >= 400) {
        const { task } = name;
        this.#log.warn({ task, path: call.path, status }, "Airflow refused a kept call");
      }
      this.#book.drop(name);
    }
    await this.#book.remove(name);
    return { kind: "settled", dropped: 0 };
  }

  #mayTryAgain(key: string): boolean {
    const tries = (this.#tries.get(key) ?? 0) + 1;
    this.#tries.set(key, tries);
    return tries < mostTries;
  }
}
