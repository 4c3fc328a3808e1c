// SPDX-License-Identifier: Apache-2.0
// The projection of what operators decided about agents and groups (PROTOCOL D6, O1-O3).
import type { AgentControl, GroupControl } from "@remex/domain";
import { deploymentTag } from "../core/keys.ts";
import { plainRead } from "../core/plain-read.ts";
import type { Store } from "../core/store.ts";
import { type Common, jsonFunction, type Refused } from "./session-call.ts";

/** Rows of the records, each with its revision. */
export interface ControlRows {
  readonly agents: readonly {
    readonly agent: string;
    readonly revision: number;
    readonly control: AgentControl;
  }[];
  readonly groups: readonly {
    readonly group: string;
    readonly revision: number;
    readonly control: GroupControl;
  }[];
  readonly tombstones: readonly { readonly agent: string; readonly instance: string }[];
}

const projectAvailability = jsonFunction<
  Common & ControlRows,
  Refused | { kind: "projected"; groups: number }
>("project_availability_v1", ["projected"], ({ now, agents, groups, tombstones }, epoch) => [
  epoch,
  now,
  JSON.stringify(agents.map(({ agent, revision, control }) => ({ agent, revision, ...control }))),
  JSON.stringify(
    groups.map(({ group, revision, control: { lostAfterMs, ...control } }) => ({
      ...{ group, revision, ...control },
      ...(lostAfterMs === undefined ? {} : { lostAfterMs: String(lostAfterMs) }),
    })),
  ),
  JSON.stringify(tombstones.map(({ agent, instance }) => ({ agent, instance }))),
]);

const applyControls = jsonFunction<
  Common & { from: string; limit: number; marker: number },
  Refused | { kind: "applied"; last: string }
>("apply_controls_v1", ["applied"], ({ now, from, limit, marker }, epoch) => [
  epoch,
  now,
  from,
  limit,
  marker,
]);

export type GoneReply =
  | Refused
  | { readonly kind: "unknown" }
  | { readonly kind: "living"; readonly ageMs: number; readonly goneInMs: number }
  | { readonly kind: "gone"; readonly session: string };

export const declareGone = jsonFunction<Common & { agent: string }, GoneReply>(
  "declare_gone_v1",
  ["unknown", "living", "gone"],
  ({ now, agent }, epoch) => [epoch, now, agent],
);

/** Most rows of one call, and most agents of one page. */
const mostRows = 500;

/** What of the records is in effect, and the epoch in which that was asked. */
export interface ControlsMarker {
  readonly epoch: string;
  /** The revision up to which they are; undefined when nothing of this epoch is. */
  readonly revision: number | undefined;
}

export async function loadControlsMarker(
  store: Store,
  deployment: string,
): Promise<ControlsMarker> {
  const current = store.epoch.current();
  const key = `${deploymentTag(deployment)}:agent-controls`;
  const [epoch, marker] = await plainRead("controls", store.redis.hmget(key, "epoch", "marker"));
  return { epoch: current, revision: epoch === current ? Number(marker ?? 0) : undefined };
}

/**
 * Puts rows into effect, of any number, and then says that `revision` is whole. All agents are gone
 * through when a group changed, or when nothing of this epoch was in effect (`from` has no revision): then
 * their hashes may be older than what stands beside them. Rows that were read in another epoch are not put
 * into this one: a newer decision may have been in effect before the store was lost, and rows that were
 * chosen by what the old store had are not all that the new one needs.
 */
export async function projectControls(
  store: Store,
  common: Common,
  rows: ControlRows & { readonly revision: number },
  from: ControlsMarker,
): Promise<"projected" | "epoch_stale"> {
  const { agents, groups, tombstones } = rows;
  const isOver = () => store.epoch.current() !== from.epoch;
  let page = from.revision === undefined ? "" : "+";
  const most = Math.max(agents.length, groups.length, tombstones.length, 1);
  for (let at = 0; at < most; at += mostRows) {
    const to = at + mostRows;
    if (isOver()) return "epoch_stale";
    const reply = await store.call(projectAvailability, {
      ...common,
      agents: agents.slice(at, to),
      groups: groups.slice(at, to),
      tombstones: tombstones.slice(at, to),
    });
    if (reply.kind === "refused") return "epoch_stale";
    if (groups.length > 0) page = "";
  }
  for (;;) {
    const { revision: marker } = rows;
    if (isOver()) return "epoch_stale";
    const reply = await store.call(applyControls, {
      ...common,
      from: page,
      limit: mostRows,
      marker,
    });
    if (reply.kind === "refused") return "epoch_stale";
    if (reply.last === "") return "projected";
    page = `(${reply.last}`;
  }
}
