// SPDX-License-Identifier: Apache-2.0
// Lets only calls of attempts through that are current and held by the caller's session (PROTOCOL E1).
import { formatRef, refFromWire, remexError, type WireRef } from "@remex/domain";
import type { Clock } from "@remex/runtime";
import type { TaskStore } from "@remex/store";
import type { SideCaller } from "../session/side-calls.ts";

export interface AttemptGateDeps {
  readonly tasks: Pick<TaskStore, "readAttempt">;
  readonly clock: Clock;
}

/** Resolves when the call may pass; rejects with `attempt_not_current` when it may not. */
export type AttemptGate = (
  caller: SideCaller,
  task: string,
  attempt: WireRef | undefined,
) => Promise<void>;

/** How long a positive answer is believed: an attempt given up is shut out after that at the latest. */
const believedMs = 500;
const mostBelieved = 10_000;

export function createAttemptGate(deps: AttemptGateDeps): AttemptGate {
  const believed = new Map<string, number>();

  return async (caller, task, wire) => {
    const ref = refFromWire(wire);
    const attempt = ref === undefined ? "" : formatRef(ref);
    const { deployment, agent } = caller;
    const session = formatRef(caller.session);
    const name = `${deployment}/${agent}/${session}/${task}/${attempt}`;
    if ((believed.get(name) ?? 0) > deps.clock.nowMs()) return;
    const row = await deps.tasks.readAttempt({ deployment, id: task });
    const current =
      row.kind === "attempt" &&
      row.state === "ASSIGNED" &&
      (row.stage === "CONFIRMED" || row.stage === "STARTED") &&
      row.attempt === attempt &&
      row.agent === agent &&
      row.session === session;
    if (!current) {
      believed.delete(name);
      throw remexError("attempt_not_current", { attempt: attempt || "none", task });
    }
    if (believed.size >= mostBelieved) believed.clear();
    believed.set(name, deps.clock.nowMs() + believedMs);
  };
}
