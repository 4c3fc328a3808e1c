// SPDX-License-Identifier: Apache-2.0
// The list of what the agent holds, its digest, and the control plane's word on each entry (S6).

import { createHash } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { inventoryDigestText } from "@remex/domain";
import {
  AttemptState,
  DeclineReason,
  type InventorySchema,
  InventoryVerdict,
} from "@remex/proto/agent/v1";
import type { AgentState, Held, ServerSays } from "./agent-state.ts";
import { report, stopHeld } from "./attempts.ts";
import { drop, heldKey, logLine, say, type Turn, wireName } from "./turn.ts";

const stateOf = {
  accepted: AttemptState.ACCEPTED,
  // The runner may have started it, so it counts as started until the runner says that it never will.
  started: AttemptState.STARTED,
  ended: AttemptState.ENDED,
} as const;

const stateName = {
  accepted: "ATTEMPT_STATE_ACCEPTED",
  started: "ATTEMPT_STATE_STARTED",
  ended: "ATTEMPT_STATE_ENDED",
} as const;

/** An attempt whose calls are kept runs on for the control plane until they are dealt with (E1). */
function shownStage(state: AgentState, held: Held): Held["stage"]["kind"] {
  return state.keptCalls.has(held.key) ? "started" : held.stage.kind;
}

/** SHA-256 of the inventory's text, byte-exact as the contract says. */
export function inventoryDigest(state: AgentState): Uint8Array {
  if (state.digestCache?.version !== state.inventoryVersion) {
    const entries = [...state.held.values()].map((held) => ({
      task: held.task,
      attempt: held.attempt,
      state: stateName[shownStage(state, held)],
    }));
    const digest = createHash("sha256").update(inventoryDigestText(entries), "utf8").digest();
    state.digestCache = { version: state.inventoryVersion, digest };
  }
  return state.digestCache.digest;
}

/** Everything that the agent holds now. */
export function takeInventory(state: AgentState): MessageInitShape<typeof InventorySchema> {
  return {
    sequence: BigInt(state.session?.sequence ?? 0),
    entries: [...state.held.values()].map((held) => ({
      ...wireName(held),
      state: stateOf[shownStage(state, held)],
      idempotencyKey: held.facts.idempotencyKey,
      payloadDigest: held.facts.payloadDigest,
      queue: held.facts.queue,
      requiredLabels: held.facts.requiredLabels,
      slotCost: held.facts.slotCost,
      onLost: held.facts.onLost,
      onCut: held.facts.onCut,
      ...(held.facts.lostAfterMs === undefined
        ? {}
        : { lostAfter: durationFromMs(held.facts.lostAfterMs) }),
    })),
    digest: inventoryDigest(state),
    epochSeen: BigInt(state.epoch),
  };
}

/** Sends the inventory on the open stream. */
export function sayInventory(turn: Turn): void {
  say(turn, { case: "inventory", value: takeInventory(turn.state) });
}

/** Follows the verdicts on an inventory. */
export function obeyVerdicts(
  turn: Turn,
  says: Extract<ServerSays, { kind: "inventoryAnswer" }>,
): void {
  for (const { task, attempt, verdict } of says.verdicts) {
    const held = turn.state.held.get(heldKey(task, attempt));
    if (held === undefined) continue;
    switch (verdict) {
      case InventoryVerdict.KILL:
        decideKeptCalls(turn, held, "dropCalls");
        kill(turn, held);
        break;
      case InventoryVerdict.REPORT:
        report(turn, held);
        break;
      case InventoryVerdict.KEEP:
        decideKeptCalls(turn, held, "sendCalls");
        break;
      case InventoryVerdict.UNSPECIFIED:
        break;
      default:
        verdict satisfies never;
    }
  }
}

/** E1: what was kept during a cut goes to Airflow for an attempt that is current, and for no other. */
function decideKeptCalls(turn: Turn, held: Held, kind: "sendCalls" | "dropCalls"): void {
  const { key, task, attempt } = held;
  if (turn.state.keptCalls.has(key)) turn.out.push({ kind, task, attempt });
}

/** Not current any more. Its report, or the word that it never started, is the answer. */
function kill(turn: Turn, held: Held): void {
  const { stage } = held;
  if (stage.kind === "accepted") {
    drop(turn.state, held);
    const message = "the attempt is not current any more";
    const reason = DeclineReason.UNSPECIFIED;
    say(turn, { case: "decline", value: { ...wireName(held), reason, message } });
    return;
  }
  if (stage.kind === "ended") {
    report(turn, held);
    return;
  }
  const { task, attempt } = held;
  logLine(turn, "warn", "attempt is not current any more and is stopped", { task, attempt });
  stopHeld(turn, held, "STOP_REASON_KILLED");
}
