// SPDX-License-Identifier: Apache-2.0
// The operator keys of the installation: digests only, and never without a live admin key for everything.

import type { Kysely, Selectable, Transaction } from "kysely";
import type { Tables } from "../engine/tables.ts";

export type OperatorRole = "viewer" | "submitter" | "operator" | "admin";

export interface OperatorKeyRecord {
  /** Public id. */
  readonly key: string;
  readonly name: string;
  readonly role: OperatorRole;
  /** Slug that it is bound to; empty for all deployments. */
  readonly deployment: string;
  readonly pepperVersion: number;
  /** Keyed hash of the value, hex. */
  readonly digest: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
}

export type NewOperatorKey = Omit<OperatorKeyRecord, "revokedAtMs">;

export type CreateOperatorKeyResult =
  | { readonly kind: "created"; readonly record: OperatorKeyRecord }
  | { readonly kind: "deployment_unknown" }
  | { readonly kind: "name_exists"; readonly key: string };

export type RevokeOperatorKeyResult =
  | { readonly kind: "revoked"; readonly record: OperatorKeyRecord }
  | { readonly kind: "unknown" }
  | { readonly kind: "last_admin_key" };

export interface OperatorKeyRecords {
  create(input: NewOperatorKey): Promise<CreateOperatorKeyResult>;
  /** Makes the first key of the store; undefined when there has ever been one. */
  createFirst(input: NewOperatorKey): Promise<OperatorKeyRecord | undefined>;
  /** Newest first. */
  list(withEnded: boolean, nowMs: number): Promise<OperatorKeyRecord[]>;
  load(key: string): Promise<OperatorKeyRecord | undefined>;
  /** By public id, or by the name of a live key. Repeating it changes nothing. */
  revoke(keyOrName: string, nowMs: number): Promise<RevokeOperatorKeyResult>;
  /** Those revoked, or expired by `nowMs`, since a time. */
  listEnded(sinceMs: number, nowMs: number): Promise<OperatorKeyRecord[]>;
}

export function createOperatorKeyRecords(db: Kysely<Tables>): OperatorKeyRecords {
  return {
    create: (input) => createKey(db, input),
    createFirst: (input) => createFirstKey(db, input),
    list: async (withEnded, nowMs) => {
      const rows = await db
        .selectFrom("operator_keys")
        .selectAll()
        .orderBy("created_at_ms", "desc")
        .orderBy("key", "desc")
        .execute();
      return rows.filter((row) => withEnded || isLive(row, nowMs)).map(toRecord);
    },
    load: async (key) => {
      const row = await db
        .selectFrom("operator_keys")
        .selectAll()
        .where("key", "=", key)
        .executeTakeFirst();
      return row === undefined ? undefined : toRecord(row);
    },
    revoke: (keyOrName, nowMs) => revokeKey(db, keyOrName, nowMs),
    listEnded: async (sinceMs, nowMs) => {
      const rows = await db
        .selectFrom("operator_keys")
        .selectAll()
        .where((where) =>
          where.or([
            where("revoked_at_ms", ">=", sinceMs),
            where.and([where("expires_at_ms", ">=", sinceMs), where("expires_at_ms", "<=", nowMs)]),
          ]),
        )
        .execute();
      return rows.map(toRecord);
    },
  };
}

/** Takes the one counter row until the transaction ends; answers how many keys there had been. */
async function lockKeys(transaction: Transaction<Tables>): Promise<number> {
  const row = await transaction
    .updateTable("operator_key_counters")
    .set((expression) => ({ created: expression("created", "+", 1) }))
    .returning("created")
    .executeTakeFirstOrThrow();
  return row.created - 1;
}

async function createKey(
  db: Kysely<Tables>,
  input: NewOperatorKey,
): Promise<CreateOperatorKeyResult> {
  return db.transaction().execute(async (transaction) => {
    await lockKeys(transaction);
    if (input.deployment !== "" && !(await hasDeployment(transaction, input.deployment))) {
      return { kind: "deployment_unknown" };
    }
    const rows = await transaction
      .selectFrom("operator_keys")
      .selectAll()
      .where("name", "=", input.name)
      .execute();
    const namesake = rows.find((row) => isLive(row, input.createdAtMs));
    if (namesake !== undefined) {
      return { kind: "name_exists", key: namesake.key };
    }
    return { kind: "created", record: await insertKey(transaction, input) };
  });
}

async function createFirstKey(
  db: Kysely<Tables>,
  input: NewOperatorKey,
): Promise<OperatorKeyRecord | undefined> {
  const any = await db.selectFrom("operator_keys").select("key").limit(1).executeTakeFirst();
  if (any !== undefined) {
    return undefined;
  }
  return db.transaction().execute(async (transaction) => {
    await lockKeys(transaction);
    const other = await transaction
      .selectFrom("operator_keys")
      .select("key")
      .limit(1)
      .executeTakeFirst();
    return other === undefined ? insertKey(transaction, input) : undefined;
  });
}

async function hasDeployment(
  transaction: Transaction<Tables>,
  deployment: string,
): Promise<boolean> {
  const row = await transaction
    .selectFrom("deployments")
    .select("deployment")
    .where("deployment", "=", deployment)
    .executeTakeFirst();
  return row !== undefined;
}

async function insertKey(
  transaction: Transaction<Tables>,
  input: NewOperatorKey,
): Promise<OperatorKeyRecord> {
  const row = await transaction
    .insertInto("operator_keys")
    .values({
      key: input.key,
      name: input.name,
      role: input.role,
      deployment: input.deployment,
      pepper_version: input.pepperVersion,
      digest: input.digest,
      created_at_ms: input.createdAtMs,
      expires_at_ms: input.expiresAtMs,
      revoked_at_ms: null,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  return toRecord(row);
}

async function revokeKey(
  db: Kysely<Tables>,
  keyOrName: string,
  nowMs: number,
): Promise<RevokeOperatorKeyResult> {
  return db.transaction().execute(async (transaction) => {
    await lockKeys(transaction);
    const rows = await transaction.selectFrom("operator_keys").selectAll().execute();
    const row =
      rows.find((candidate) => candidate.key === keyOrName) ??
      rows.find((candidate) => candidate.name === keyOrName && isLive(candidate, nowMs));
    if (row === undefined) {
      return { kind: "unknown" };
    }
    if (row.revoked_at_ms !== null) {
      return { kind: "revoked", record: toRecord(row) };
    }
    const isMaster = (candidate: Selectable<Tables["operator_keys"]>) =>
      candidate.role === "admin" && candidate.deployment === "" && isLive(candidate, nowMs);
    if (isMaster(row) && rows.filter(isMaster).length === 1) {
      return { kind: "last_admin_key" };
    }
    await transaction
      .updateTable("operator_keys")
      .set({ revoked_at_ms: nowMs })
      .where("key", "=", row.key)
      .execute();
    return { kind: "revoked", record: toRecord({ ...row, revoked_at_ms: nowMs }) };
  });
}

function isLive(row: Selectable<Tables["operator_keys"]>, nowMs: number): boolean {
  return row.revoked_at_ms === null && (row.expires_at_ms === null || row.expires_at_ms > nowMs);
}

function toRecord(row: Selectable<Tables["operator_keys"]>): OperatorKeyRecord {
  return {
    key: row.key,
    name: row.name,
    role: row.role as OperatorRole,
    deployment: row.deployment,
    pepperVersion: row.pepper_version,
    digest: row.digest,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
    revokedAtMs: row.revoked_at_ms,
  };
}
