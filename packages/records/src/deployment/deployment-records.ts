// SPDX-License-Identifier: Apache-2.0
// The deployments of the installation: one row each, with a revision that refuses lost updates.

import { type DeploymentSettings, defaultDeploymentSettings, defaultQueue } from "@remex/domain";
import type { Kysely, Selectable, Transaction } from "kysely";
import type { Tables } from "../engine/tables.ts";

export interface DeploymentRecord {
  readonly deployment: string;
  readonly displayName: string;
  readonly settings: DeploymentSettings;
  readonly revision: number;
  /** Higher with every change that Redis has to know of. */
  readonly projection: number;
  /** Higher with every change of the heartbeat interval. */
  readonly intervalVersion: number;
  readonly createdAtMs: number;
  /** Epoch of Redis in which it was made; 0 when that was not known. */
  readonly createdEpoch: number;
}

/** A deployment together with what its projection needs. */
export interface DeploymentProjectionRecord extends DeploymentRecord {
  readonly queues: readonly string[];
}

export interface NewDeployment {
  readonly deployment: string;
  readonly displayName: string;
  readonly settings: DeploymentSettings;
  readonly nowMs: number;
  /** Epoch of Redis as the caller knows it; absence means none. */
  readonly epoch?: number;
}

export interface DeploymentChange {
  readonly displayName: string;
  readonly settings: DeploymentSettings;
}

export type UpdateDeploymentResult =
  | { readonly kind: "updated"; readonly record: DeploymentRecord }
  | { readonly kind: "unchanged"; readonly record: DeploymentRecord }
  | { readonly kind: "unknown" }
  | { readonly kind: "stale"; readonly revision: number };

export interface DeploymentRecords {
  /** Makes the deployment and its queue "default"; an existing one is given back untouched. */
  create(
    input: NewDeployment,
  ): Promise<{ readonly kind: "created" | "exists"; readonly record: DeploymentRecord }>;
  load(deployment: string): Promise<DeploymentRecord | undefined>;
  /** By slug, after the one given. */
  list(after: string, limit: number): Promise<DeploymentRecord[]>;
  /**
   * Applies a change to the record as it is now. `decide` is pure and may throw to refuse; `revision`
   * is what the caller has seen, 0 for any.
   */
  update(
    deployment: string,
    revision: number,
    nowMs: number,
    decide: (record: DeploymentRecord) => DeploymentChange,
  ): Promise<UpdateDeploymentResult>;
  loadProjection(deployment: string): Promise<DeploymentProjectionRecord | undefined>;
  listProjections(): Promise<DeploymentProjectionRecord[]>;
}

export function createDeploymentRecords(db: Kysely<Tables>): DeploymentRecords {
  return {
    create: (input) => createDeployment(db, input),
    load: (deployment) => loadDeployment(db, deployment),
    list: async (after, limit) => {
      const rows = await db
        .selectFrom("deployments")
        .selectAll()
        .where("deployment", ">", after)
        .orderBy("deployment")
        .limit(limit)
        .execute();
      return rows.map(toRecord);
    },
    update: (deployment, revision, nowMs, decide) =>
      updateDeployment(db, { deployment, revision, nowMs, decide }),
    loadProjection: (deployment) => loadProjection(db, deployment),
    listProjections: () => listProjections(db),
  };
}

async function createDeployment(db: Kysely<Tables>, input: NewDeployment) {
  return db.transaction().execute(async (transaction) => {
    const added = await transaction
      .insertInto("deployments")
      .values({
        deployment: input.deployment,
        display_name: input.displayName,
        settings_json: JSON.stringify(input.settings),
        revision: 1,
        projection: 1,
        interval_version: 1,
        created_epoch: input.epoch ?? 0,
        created_at_ms: input.nowMs,
        updated_at_ms: input.nowMs,
      })
      .onConflict((conflict) => conflict.column("deployment").doNothing())
      .returningAll()
      .executeTakeFirst();
    if (added === undefined) {
      const record = await loadDeployment(transaction, input.deployment);
      if (record === undefined) {
        throw new Error(`deployment ${input.deployment} conflicts with a row that is not there`);
      }
      return { kind: "exists" as const, record };
    }
    await transaction
      .insertInto("queues")
      .values({
        deployment: input.deployment,
        queue: defaultQueue,
        description: "",
        created_at_ms: input.nowMs,
      })
      .execute();
    return { kind: "created" as const, record: toRecord(added) };
  });
}

async function loadDeployment(
  db: Kysely<Tables> | Transaction<Tables>,
  deployment: string,
): Promise<DeploymentRecord | undefined> {
  const row = await db
    .selectFrom("deployments")
    .selectAll()
    .where("deployment", "=", deployment)
    .executeTakeFirst();
  return row === undefined ? undefined : toRecord(row);
}

interface Update {
  readonly deployment: string;
  readonly revision: number;
  readonly nowMs: number;
  readonly decide: (record: DeploymentRecord) => DeploymentChange;
}

async function updateDeployment(
  db: Kysely<Tables>,
  update: Update,
): Promise<UpdateDeploymentResult> {
  return db.transaction().execute(async (transaction) => {
    const record = await lockDeployment(transaction, update.deployment);
    if (record === undefined) {
      return { kind: "unknown" };
    }
    if (update.revision !== 0 && update.revision !== record.revision) {
      return { kind: "stale", revision: record.revision };
    }
    const change = update.decide(record);
    const settingsJson = JSON.stringify(change.settings);
    if (
      change.displayName === record.displayName &&
      settingsJson === JSON.stringify(record.settings)
    ) {
      return { kind: "unchanged", record };
    }
    const intervalChanged =
      change.settings.heartbeatIntervalMs !== record.settings.heartbeatIntervalMs;
    const row = await transaction
      .updateTable("deployments")
      .set({
        display_name: change.displayName,
        settings_json: settingsJson,
        revision: record.revision + 1,
        projection: record.projection + 1,
        interval_version: record.intervalVersion + (intervalChanged ? 1 : 0),
        updated_at_ms: update.nowMs,
      })
      .where("deployment", "=", update.deployment)
      .returningAll()
      .executeTakeFirstOrThrow();
    return { kind: "updated", record: toRecord(row) };
  });
}

/**
 * Locks the row until the transaction ends and reads it. Writing the row is the lock that both engines
 * understand; the value stays as it is.
 */
async function lockDeployment(
  transaction: Transaction<Tables>,
  deployment: string,
): Promise<DeploymentRecord | undefined> {
  const row = await transaction
    .updateTable("deployments")
    .set((expression) => ({ revision: expression.ref("revision") }))
    .where("deployment", "=", deployment)
    .returningAll()
    .executeTakeFirst();
  return row === undefined ? undefined : toRecord(row);
}

/**
 * Raises what projections are compared by, for a change of the deployment's queues made in the same
 * transaction. False when there is no such deployment.
 */
export async function raiseProjection(
  transaction: Transaction<Tables>,
  deployment: string,
): Promise<boolean> {
  const row = await transaction
    .updateTable("deployments")
    .set((expression) => ({ projection: expression("projection", "+", 1) }))
    .where("deployment", "=", deployment)
    .returning("projection")
    .executeTakeFirst();
  return row !== undefined;
}

async function loadProjection(
  db: Kysely<Tables>,
  deployment: string,
): Promise<DeploymentProjectionRecord | undefined> {
  // The row before its queues: the queues read are then at least as new as the number they go with.
  const record = await loadDeployment(db, deployment);
  if (record === undefined) {
    return undefined;
  }
  const rows = await db
    .selectFrom("queues")
    .select("queue")
    .where("deployment", "=", deployment)
    .orderBy("queue")
    .execute();
  return { ...record, queues: rows.map((row) => row.queue) };
}

async function listProjections(db: Kysely<Tables>): Promise<DeploymentProjectionRecord[]> {
  const records = await db.selectFrom("deployments").selectAll().orderBy("deployment").execute();
  const rows = await db
    .selectFrom("queues")
    .select(["deployment", "queue"])
    .orderBy("queue")
    .execute();
  const queuesOf = Map.groupBy(rows, (row) => row.deployment);
  return records.map((row) => ({
    ...toRecord(row),
    queues: (queuesOf.get(row.deployment) ?? []).map((queue) => queue.queue),
  }));
}

function toRecord(row: Selectable<Tables["deployments"]>): DeploymentRecord {
  // Settings that an older version did not know take their defaults.
  const stored = JSON.parse(row.settings_json) as Partial<DeploymentSettings>;
  return {
    deployment: row.deployment,
    displayName: row.display_name,
    settings: { ...defaultDeploymentSettings, ...stored },
    revision: row.revision,
    projection: row.projection,
    intervalVersion: row.interval_version,
    createdAtMs: row.created_at_ms,
    createdEpoch: row.created_epoch,
  };
}
