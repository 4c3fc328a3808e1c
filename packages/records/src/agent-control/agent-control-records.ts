// SPDX-License-Identifier: Apache-2.0
// What operators decided about agents and groups, with one revision a deployment for its projection (D6).

import { type AgentControl, freeGroup, type GroupControl } from "@remex/domain";
import type { Kysely, Selectable, Transaction } from "kysely";
import type { Tables } from "../engine/tables.ts";

export interface AgentControlRecord {
  readonly deployment: string;
  readonly agent: string;
  readonly revision: number;
  readonly control: AgentControl;
  readonly changedAtMs: number;
}

export interface GroupRecord {
  readonly deployment: string;
  readonly group: string;
  readonly revision: number;
  readonly control: GroupControl;
  readonly changedAtMs: number;
}

/** An instance that is refused for good. */
export interface TombstoneRecord {
  readonly deployment: string;
  readonly agent: string;
  readonly instance: string;
  readonly revision: number;
}

/** What a projection needs: everything that was changed after a revision. */
export interface ControlChanges {
  /** Revision that the projection is at once all of it is in effect. */
  readonly revision: number;
  readonly agents: readonly AgentControlRecord[];
  readonly groups: readonly GroupRecord[];
  readonly tombstones: readonly TombstoneRecord[];
}

export type ChangeControlResult<Changed> =
  | { readonly kind: "changed"; readonly record: Changed }
  | { readonly kind: "unchanged"; readonly record: Changed }
  | { readonly kind: "deployment_unknown" };

export interface AgentChange {
  readonly deployment: string;
  readonly agent: string;
  readonly nowMs: number;
  /** Pure; may throw to refuse. */
  readonly decide: (control: AgentControl) => AgentControl;
  /** Instance that is refused for good from now on. */
  readonly buriedInstance?: string;
}

export interface GroupChange {
  readonly deployment: string;
  readonly group: string;
  readonly nowMs: number;
  readonly decide: (control: GroupControl) => GroupControl;
}

export interface AgentControlRecords {
  /** Undefined when nothing was ever said about the agent. */
  load(deployment: string, agent: string): Promise<AgentControlRecord | undefined>;
  change(change: AgentChange): Promise<ChangeControlResult<AgentControlRecord>>;
  loadGroup(deployment: string, group: string): Promise<GroupRecord | undefined>;
  /** By name. */
  listGroups(deployment: string): Promise<GroupRecord[]>;
  changeGroup(change: GroupChange): Promise<ChangeControlResult<GroupRecord>>;
  /** The revision of every deployment that has one; others are at 0. */
  revisions(): Promise<ReadonlyMap<string, number>>;
  listChanges(deployment: string, afterRevision: number): Promise<ControlChanges>;
}

type Db = Kysely<Tables> | Transaction<Tables>;

export function createAgentControlRecords(db: Kysely<Tables>): AgentControlRecords {
  return {
    load: (deployment, agent) => loadAgent(db, deployment, agent),
    change: (change) => changeAgent(db, change),
    loadGroup: (deployment, group) => loadGroup(db, deployment, group),
    listGroups: async (deployment) => {
      const rows = await db
        .selectFrom("agent_groups")
        .selectAll()
        .where("deployment", "=", deployment)
        .orderBy("group_name")
        .execute();
      return rows.map(toGroup);
    },
    changeGroup: (change) => changeGroup(db, change),
    revisions: async () => {
      const rows = await db.selectFrom("agent_control_counters").selectAll().execute();
      return new Map(rows.map((row) => [row.deployment, row.revision]));
    },
    listChanges: (deployment, after) => listChanges(db, deployment, after),
  };
}

async function loadAgent(db: Db, deployment: string, agent: string) {
  const row = await db
    .selectFrom("agent_controls")
    .selectAll()
    .where("deployment", "=", deployment)
    .where("agent", "=", agent)
    .executeTakeFirst();
  return row === undefined ? undefined : toAgent(row);
}

async function loadGroup(db: Db, deployment: string, group: string) {
  const row = await db
    .selectFrom("agent_groups")
    .selectAll()
    .where("deployment", "=", deployment)
    .where("group_name", "=", group)
    .executeTakeFirst();
  return row === undefined ? undefined : toGroup(row);
}

/** The row is also the lock: revisions of a deployment are committed in their order. */
async function nextRevision(
  transaction: Transaction<Tables>,
  deployment: string,
): Promise<number | undefined> {
  const known = await transaction
    .selectFrom("deployments")
    .select("deployment")
    .where("deployment", "=", deployment)
    .executeTakeFirst();
  if (known === undefined) return undefined;
  const { revision } = await transaction
    .insertInto("agent_control_counters")
    .values({ deployment, revision: 1 })
    .onConflict((conflict) =>
      conflict.column("deployment").doUpdateSet((expression) => ({
        revision: expression("agent_control_counters.revision", "+", 1),
      })),
    )
    .returning("revision")
    .executeTakeFirstOrThrow();
  return revision;
}

async function changeAgent(
  db: Kysely<Tables>,
  change: AgentChange,
): Promise<ChangeControlResult<AgentControlRecord>> {
  const { deployment, agent, nowMs, buriedInstance } = change;
  return db.transaction().execute(async (transaction) => {
    const revision = await nextRevision(transaction, deployment);
    if (revision === undefined) return { kind: "deployment_unknown" };
    const before = await loadAgent(transaction, deployment, agent);
    const control = change.decide(before?.control ?? { kind: "schedulable" });
    const buried =
      buriedInstance !== undefined &&
      (await bury(transaction, { deployment, agent, instance: buriedInstance, revision }, nowMs));
    if (before !== undefined && !buried && isSame(before.control, control)) {
      return { kind: "unchanged", record: before };
    }
    const fields = { revision, changed_at_ms: nowMs, ...agentFields(control) };
    const row = await transaction
      .insertInto("agent_controls")
      .values({ deployment, agent, ...fields })
      .onConflict((conflict) => conflict.columns(["deployment", "agent"]).doUpdateSet(fields))
      .returningAll()
      .executeTakeFirstOrThrow();
    return { kind: "changed", record: toAgent(row) };
  });
}

/** True when the instance was not buried before. */
async function bury(
  transaction: Transaction<Tables>,
  tombstone: TombstoneRecord,
  nowMs: number,
): Promise<boolean> {
  const row = await transaction
    .insertInto("agent_tombstones")
    .values({ ...tombstone, deleted_at_ms: nowMs })
    .onConflict((conflict) => conflict.columns(["deployment", "instance"]).doNothing())
    .returning("instance")
    .executeTakeFirst();
  return row !== undefined;
}

async function changeGroup(
  db: Kysely<Tables>,
  change: GroupChange,
): Promise<ChangeControlResult<GroupRecord>> {
  const { deployment, group, nowMs } = change;
  return db.transaction().execute(async (transaction) => {
    const revision = await nextRevision(transaction, deployment);
    if (revision === undefined) return { kind: "deployment_unknown" };
    const before = await loadGroup(transaction, deployment, group);
    const control = change.decide(before?.control ?? freeGroup);
    if (before !== undefined && isSame(before.control, control)) {
      return { kind: "unchanged", record: before };
    }
    const fields = { revision, changed_at_ms: nowMs, ...groupFields(control) };
    const row = await transaction
      .insertInto("agent_groups")
      .values({ deployment, group_name: group, ...fields })
      .onConflict((conflict) => conflict.columns(["deployment", "group_name"]).doUpdateSet(fields))
      .returningAll()
      .executeTakeFirstOrThrow();
    return { kind: "changed", record: toGroup(row) };
  });
}

async function listChanges(
  db: Kysely<Tables>,
  deployment: string,
  after: number,
): Promise<ControlChanges> {
  // The counter before the rows: the rows read are then at least as new as the number they go with.
  const counter = await db
    .selectFrom("agent_control_counters")
    .select("revision")
    .where("deployment", "=", deployment)
    .executeTakeFirst();
  const agents = await db
    .selectFrom("agent_controls")
    .selectAll()
    .where("deployment", "=", deployment)
    .where("revision", ">", after)
    .orderBy("revision")
    .execute();
  const groups = await db
    .selectFrom("agent_groups")
    .selectAll()
    .where("deployment", "=", deployment)
    .where("revision", ">", after)
    .orderBy("revision")
    .execute();
  const tombstones = await db
    .selectFrom("agent_tombstones")
    .select(["deployment", "agent", "instance", "revision"])
    .where("deployment", "=", deployment)
    .where("revision", ">", after)
    .orderBy("revision")
    .execute();
  const revision = counter?.revision ?? 0;
  return { revision, agents: agents.map(toAgent), groups: groups.map(toGroup), tombstones };
}

function isSame(left: object, right: object): boolean {
  const fields = (control: object) => JSON.stringify(Object.entries(control).sort());
  return fields(left) === fields(right);
}

function agentFields(control: AgentControl) {
  return {
    kind: control.kind,
    note: control.kind === "schedulable" ? "" : control.note,
    deadline_at_ms: control.kind === "draining" ? (control.deadlineAtMs ?? null) : null,
    name_free_at_ms: control.kind === "deleted" ? control.nameFreeAtMs : null,
  };
}

function toAgent(row: Selectable<Tables["agent_controls"]>): AgentControlRecord {
  const { deployment, agent, revision, changed_at_ms } = row;
  return { deployment, agent, revision, control: toControl(row), changedAtMs: changed_at_ms };
}

function toControl(row: Selectable<Tables["agent_controls"]>): AgentControl {
  const { kind, note, deadline_at_ms, name_free_at_ms } = row;
  switch (kind) {
    case "schedulable":
      return { kind };
    case "cordoned":
      return { kind, note };
    case "draining":
      return { kind, note, ...(deadline_at_ms === null ? {} : { deadlineAtMs: deadline_at_ms }) };
    case "deleted":
      return { kind, note, nameFreeAtMs: name_free_at_ms ?? 0 };
    default:
      throw new Error(`the records hold the control ${kind}, which this version does not know`);
  }
}

function groupFields(control: GroupControl) {
  const { cordoned, note, onCut, lostAfterMs } = control;
  return {
    cordoned: cordoned ? 1 : 0,
    note,
    on_cut: onCut ?? null,
    lost_after_ms: lostAfterMs ?? null,
  };
}

function toGroup(row: Selectable<Tables["agent_groups"]>): GroupRecord {
  return {
    deployment: row.deployment,
    group: row.group_name,
    revision: row.revision,
    changedAtMs: row.changed_at_ms,
    control: {
      cordoned: row.cordoned === 1,
      note: row.note,
      ...(row.on_cut === null ? {} : { onCut: row.on_cut === "ABORT" ? "ABORT" : "CONTINUE" }),
      ...(row.lost_after_ms === null ? {} : { lostAfterMs: row.lost_after_ms }),
    },
  };
}
