// SPDX-License-Identifier: Apache-2.0
// Lets only calls of attempts through that are current and held by the caller's session (PROTOCOL E1).
import {
  compareRefs,
  formatRef,
  refFromWire,
  remexError,
  requireRef,
  type WireRef,
} from "@remex/domain";
import type { Clock } from "@remex/runtime";
import type { TaskStore } from "@remex/store";
import type { SideCaller } from "../session/side-calls.ts";

export interface AttemptGateDeps {
  readonly tasks: Pick<TaskStore, "readAttempt">;
  readonly clock: Clock;
}

/** Resolves when the call may pass; rejects with `attempt_not_current`, or `attempt_unsettled` for "not yet". */
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
    if (row.kind === "refused") throw remexError("settings_not_in_effect", { deployment });
    const standing = standingOf(row, { agent, session, attempt });
    if (standing !== "current") {
      believed.delete(name);
      const code = standing === "unsettled" ? "attempt_unsettled" : "attempt_not_current";
      throw remexError(code, { attempt: attempt || "none", task });
    }
    if (believed.size >= mostBelieved) believed.clear();
    believed.set(name, deps.clock.nowMs() + believedMs);
  };
}

type Row = Exclude<Awaited<ReturnType<TaskStore["readAttempt"]>>, { kind: "refused" }>;

interface Claim {
  readonly agent: string;
  readonly session: string;
  readonly attempt: string;
}

/**
 * "not_current" ends the task's work, so it is said only when that is certain. An agent in a new session is
 * bound to its attempts by its inventory, and in quarantine the store may not know of a newer one (D2).
 */
function standingOf(row: Row, claim: Claim): "current" | "unsettled" | "not_current" {
  const unknown = row.quarantined ? "unsettled" : "not_current";
  if (row.kind === "unknown") return unknown;
  if (row.attempt !== claim.attempt || row.agent !== claim.agent) return unknown;
  // Held work is bound again by the inventory that its agent has said with its hello (H1).
  if (row.state === "HELD") return "unsettled";
  const running = row.stage === "CONFIRMED" || row.stage === "STARTED";
  if (row.state !== "ASSIGNED" || !running) return unknown;
  if (row.session === claim.session) return "current";
  return compareRefs(requireRef(row.session), requireRef(claim.session)) < 0
    ? "unsettled"
    : "not_current";
}
