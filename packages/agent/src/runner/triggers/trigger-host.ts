// SPDX-License-Identifier: Apache-2.0
// Runs many triggers in the runner's own process: their timers, requests and looks, each one to be stopped.

import type { BuiltinTrigger } from "@remex/domain";
import type { Clock } from "@remex/runtime";
import type { TriggerIo } from "./trigger-io.ts";
import {
  createTriggerState,
  stepTrigger,
  type TriggerEffect,
  type TriggerEvent,
  type TriggerState,
} from "./trigger-machine.ts";

export interface TriggerHostOptions {
  readonly clock: Clock;
  readonly io: TriggerIo;
  /** A trigger emitted an event. It is told when the event is durable, by `durable`. */
  readonly onEvent: (key: string, number: number, payload: Uint8Array) => void;
  /** A trigger has ended well. */
  readonly onEnd: (key: string, message: string) => void;
}

interface LiveTrigger {
  readonly state: TriggerState;
  readonly stopping: AbortController;
  cancelWake: () => void;
}

/** Timers of the system do not reach further; one that fires early is set again. */
const longestWaitMs = 3_600_000;

/** The triggers that run, by the key of their attempt. A stopped one does nothing more (R22). */
export class TriggerHost {
  readonly #options: TriggerHostOptions;
  readonly #live = new Map<string, LiveTrigger>();

  constructor(options: TriggerHostOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#live.size;
  }

  launch(key: string, trigger: BuiltinTrigger): void {
    const state = createTriggerState(trigger);
    const live = { state, stopping: new AbortController(), cancelWake: () => undefined };
    this.#live.set(key, live);
    this.#step(key, live, { kind: "begin" });
  }

  /** All events up to this one are durable. */
  durable(key: string, number: number): void {
    const live = this.#live.get(key);
    if (live !== undefined) this.#step(key, live, { kind: "durable", number });
  }

  /** Ends a trigger at once, whatever it is doing; false when there is none. */
  stop(key: string): boolean {
    const live = this.#live.get(key);
    if (live === undefined) return false;
    this.#live.delete(key);
    live.cancelWake();
    live.stopping.abort();
    return true;
  }

  #step(key: string, live: LiveTrigger, event: TriggerEvent): void {
    // What a stopped trigger was waiting for is no news any more.
    if (this.#live.get(key) !== live) return;
    const { clock } = this.#options;
    const now = { ms: clock.nowMs(), wallMs: clock.wallMs() };
    for (const effect of stepTrigger(live.state, event, now)) this.#perform(key, live, effect);
  }

  #perform(key: string, live: LiveTrigger, effect: TriggerEffect): void {
    const { clock, io, onEvent, onEnd } = this.#options;
    switch (effect.kind) {
      case "wakeAt": {
        const delayMs = Math.min(effect.atMs - clock.nowMs(), longestWaitMs);
        live.cancelWake();
        live.cancelWake = clock.after(delayMs, () => this.#step(key, live, { kind: "woken" }));
        return;
      }
      case "ask":
        io.ask(effect.request, live.stopping.signal).then(
          (answer) => this.#step(key, live, { kind: "answered", ...answer }),
          () => this.#step(key, live, { kind: "unanswered" }),
        );
        return;
      case "look":
        void io.look(effect.path).then((size) => this.#step(key, live, { kind: "looked", size }));
        return;
      case "emit":
        onEvent(key, effect.number, Buffer.from(JSON.stringify(effect.payload)));
        return;
      case "end":
        this.#live.delete(key);
        onEnd(key, effect.message);
        return;
      default:
        effect satisfies never;
    }
  }
}
