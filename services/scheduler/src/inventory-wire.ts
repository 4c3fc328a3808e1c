// SPDX-License-Identifier: Apache-2.0
// Inventories of agents, from the contract's form to what the store is told; what rebuilds a task is checked here.

import { durationMs } from "@bufbuild/protobuf/wkt";
import { laneText } from "@remex/domain";
import { AttemptState, type Inventory, type InventoryEntry } from "@remex/proto/agent/v1";
import { OnCut, OnLost } from "@remex/proto/common/v1";
import type { InventoryItem, RebuildFacts } from "@remex/store";
import { taskIdOf } from "./submission.ts";
import { textOfRef } from "./wire-refs.ts";

/** An inventory as its agent stated it. */
export interface StatedInventory {
  readonly sequence: number;
  readonly entries: readonly StatedEntry[];
  /** Greatest epoch that the agent had seen; 0 when it states none. */
  readonly epochSeen: number;
}

interface StatedEntry {
  readonly id: string;
  readonly attempt: string;
  readonly state: InventoryItem["entries"][number]["state"];
  readonly stated: InventoryEntry;
}

const attemptStates: Readonly<Record<number, StatedEntry["state"]>> = {
  [AttemptState.ACCEPTED]: "ACCEPTED",
  [AttemptState.STARTED]: "STARTED",
  [AttemptState.ENDED]: "ENDED",
};

/** Reads an inventory; undefined when an entry is malformed: then none can be judged. */
export function readInventory(inventory: Inventory): StatedInventory | undefined {
  const entries: StatedEntry[] = [];
  for (const stated of inventory.entries) {
    const attempt = textOfRef(stated.attempt);
    const state = attemptStates[stated.state];
    if (attempt === undefined || state === undefined) return undefined;
    entries.push({ id: stated.task, attempt, state, stated });
  }
  const { sequence, epochSeen } = inventory;
  return { sequence: Number(sequence), entries, epochSeen: Number(epochSeen) };
}

/** What an inventory is judged against. */
export interface InventoryContext {
  readonly deployment: string;
  /** Epoch of the store. */
  readonly epoch: string;
  /** Queues that the agent may serve. */
  readonly queues: readonly string[];
}

/** What the store is told of an inventory. */
export function inventoryItem(
  to: { readonly agent: string; readonly session: string },
  said: StatedInventory,
  context: InventoryContext,
): InventoryItem {
  return {
    agent: to.agent,
    session: to.session,
    sequence: said.sequence,
    ofEpoch: isOfEpoch(said, Number(context.epoch)),
    entries: said.entries.map(({ id, attempt, state, stated }) => {
      const facts = rebuildFacts(stated, context);
      return facts === undefined ? { id, attempt, state } : { id, attempt, state, facts };
    }),
  };
}

// An agent that states no epoch cannot say that it has dropped its older accepts, so it must hold none.
function isOfEpoch({ epochSeen, entries }: StatedInventory, epoch: number): boolean {
  if (epochSeen === 0) return entries.every(({ state }) => state !== "ACCEPTED");
  return epochSeen === epoch;
}

/**
 * What a task of an older epoch can be rebuilt from (S6): nothing when the id is not that of the key, so that
 * an agent cannot put itself in the place of another task, or when the queue is none of the agent's.
 */
function rebuildFacts(
  stated: InventoryEntry,
  { deployment, epoch, queues }: InventoryContext,
): RebuildFacts | undefined {
  const { attempt, idempotencyKey: key, queue, requiredLabels } = stated;
  if (attempt === undefined || attempt.epoch >= BigInt(epoch || "0")) return undefined;
  if (key === "" || taskIdOf(deployment, key) !== stated.task) return undefined;
  if (!queues.includes(queue) || stated.payloadDigest.length !== digestBytes) return undefined;
  const onCut = onCutWords[stated.onCut];
  return {
    key,
    digest: stated.payloadDigest,
    queue,
    // Which runtime it needs is not known until it is submitted again.
    lane: laneText({ queue, runtime: "", requiredLabels }),
    slotCost: stated.slotCost || 1,
    onLost: stated.onLost === OnLost.FAIL ? "FAIL" : "REQUEUE",
    ...(onCut === undefined ? {} : { onCut }),
    ...(stated.lostAfter === undefined ? {} : { lostAfterMs: durationMs(stated.lostAfter) }),
  };
}

const digestBytes = 32;

const onCutWords: Readonly<Record<number, RebuildFacts["onCut"]>> = {
  [OnCut.CONTINUE]: "CONTINUE",
  [OnCut.ABORT]: "ABORT",
};
