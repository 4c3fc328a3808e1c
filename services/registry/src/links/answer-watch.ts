// SPDX-License-Identifier: Apache-2.0
// Notices that beats of this registry are not answered, and sends agents to one whose are (PROTOCOL L5).
import type { CancelTimer, Clock } from "@remex/runtime";
import type { LiveSession } from "../session/live-session.ts";

export interface AnswerWatchDeps {
  readonly clock: Clock;
  live(): Iterable<LiveSession>;
  /** Heartbeat interval of a deployment, in ms. */
  heartbeatMs(deployment: string): number;
  /** Whether another registry's beats are answered. */
  othersAnswered(): Promise<boolean>;
  /** True: some beat has waited for longer than half its interval while another registry is answered. */
  onOutdone(outdone: boolean): void;
  /** Another registry does better. */
  sendAway(live: LiveSession): void;
}

export interface AnswerWatch {
  /** A beat of this session was passed on. */
  relayed(live: LiveSession): void;
  /** One of its beats was answered, with whatever. */
  answered(live: LiveSession): void;
  /** Whether some beat has waited for longer than half its interval, as last looked at. */
  readonly starving: boolean;
  /** Looks once; the timer does. */
  look(): Promise<void>;
  start(): CancelTimer;
}

const lookEveryMs = 500;

export function createAnswerWatch(deps: AnswerWatchDeps): AnswerWatch {
  /** Since when the oldest unanswered beat of a session waits. */
  const waiting = new WeakMap<LiveSession, number>();
  /** Sessions that were sent away in this drought. */
  let sent = new WeakSet<LiveSession>();
  let starving = false;
  let outdone = false;
  let looking = false;

  function hungry(): LiveSession[] {
    const nowMs = deps.clock.nowMs();
    const found: LiveSession[] = [];
    for (const live of deps.live()) {
      const sinceMs = waiting.get(live);
      if (sinceMs === undefined) continue;
      if (nowMs - sinceMs > deps.heartbeatMs(live.facts.deployment) / 2) found.push(live);
    }
    return found;
  }

  async function look(): Promise<void> {
    const now = hungry().length > 0;
    if (now !== starving) {
      starving = now;
      sent = new WeakSet();
    }
    // If nobody is answered, moving agents about would only make it worse: streams are kept.
    const elsewhere = now && (await deps.othersAnswered());
    if (elsewhere !== outdone) {
      outdone = elsewhere;
      deps.onOutdone(elsewhere);
    }
    if (!elsewhere) return;
    for (const live of deps.live()) {
      if (sent.has(live)) continue;
      sent.add(live);
      deps.sendAway(live);
    }
  }

  return {
    relayed(live) {
      if (!waiting.has(live)) waiting.set(live, deps.clock.nowMs());
    },
    answered: (live) => void waiting.delete(live),
    get starving() {
      return starving;
    },
    look,
    start: () =>
      deps.clock.every(lookEveryMs, () => {
        if (looking) return;
        looking = true;
        void look().finally(() => {
          looking = false;
        });
      }),
  };
}
