// SPDX-License-Identifier: Apache-2.0
// The agent tokens of each deployment: digests only, and a count of live ones that never exceeds its limit.

import { type DeploymentSettings, defaultDeploymentSettings } from "@remex/domain";
import type { Kysely, Selectable, Transaction } from "kysely";
import type { Tables } from "../engine/tables.ts";

export interface AgentTokenRecord {
  /** Public id. */
  readonly token: string;
  readonly deployment: string;
  readonly name: string;
  readonly description: string;
  readonly kinds: readonly string[];
  readonly queues: readonly string[];
  readonly pepperVersion: number;
  /** Keyed hash of the value, hex. */
  readonly digest: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  readonly lastUsedAtMs: number | null;
}

export type NewAgentToken = Omit<AgentTokenRecord, "revokedAtMs" | "lastUsedAtMs">;

export type CreateAgentTokenResult =
  | { readonly kind: "created"; readonly record: AgentTokenRecord }
  | { readonly kind: "deployment_unknown" }
  | { readonly kind: "name_exists"; readonly token: string }
  | { readonly kind: "limit"; readonly limit: number };

export interface AgentTokenPage {
  readonly records: readonly AgentTokenRecord[];
  readonly live: number;
  readonly limit: number;
}

export interface AgentTokenPageRequest {
  readonly deployment: string;
  readonly withEnded: boolean;
  readonly nowMs: number;
  readonly pageSize: number;
  /** Creation time and id of the last token of the page before. */
  readonly before?: { readonly createdAtMs: number; readonly token: string };
}

export interface AgentTokenRecords {
  create(input: NewAgentToken): Promise<CreateAgentTokenResult>;
  /** Newest first; undefined when the deployment is unknown. */
  list(request: AgentTokenPageRequest): Promise<AgentTokenPage | undefined>;
  load(token: string): Promise<AgentTokenRecord | undefined>;
  /** By public id, or by the name of a live token. Repeating it changes nothing. */
  revoke(
    deployment: string,
    tokenOrName: string,
    nowMs: number,
  ): Promise<AgentTokenRecord | undefined>;
  /** Writes when tokens were last used, many at once; an older time changes nothing. */
  recordUse(
    uses: readonly { readonly token: string; readonly atMs: number; readonly address: string }[],
  ): Promise<void>;
  /** Those revoked, or expired by `nowMs`, since a time. */
  listEnded(sinceMs: number, nowMs: number): Promise<AgentTokenRecord[]>;
}

export function createAgentTokenRecords(db: Kysely<Tables>): AgentTokenRecords {
  return {
    create: (input) => createToken(db, input),
    list: (request) => listTokens(db, request),
    load: async (token) => {
      const row = await db
        .selectFrom("agent_tokens")
        .selectAll()
        .where("token", "=", token)
        .executeTakeFirst();
      return row === undefined ? undefined : toRecord(row);
    },
    revoke: (deployment, tokenOrName, nowMs) => revokeToken(db, deployment, tokenOrName, nowMs),
    recordUse: (uses) => recordUse(db, uses),
    listEnded: async (sinceMs, nowMs) => {
      const rows = await db
        .selectFrom("agent_tokens")
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

/**
 * SEC-T9: one transaction takes the deployment's counter row, so that no other create is between the
 * count of live tokens and the new row, on either engine.
 */
async function createToken(
  db: Kysely<Tables>,
  input: NewAgentToken,
): Promise<CreateAgentTokenResult> {
  return db.transaction().execute(async (transaction) => {
    await transaction
      .insertInto("agent_token_counters")
      .values({ deployment: input.deployment, created: 1 })
      .onConflict((conflict) =>
        conflict.column("deployment").doUpdateSet((expression) => ({
          created: expression("agent_token_counters.created", "+", 1),
        })),
      )
      .execute();
    const limit = await loadLimit(transaction, input.deployment);
    if (limit === undefined) {
      return { kind: "deployment_unknown" };
    }
    const live = await listLive(transaction, input.deployment, input.createdAtMs);
    const namesake = live.find((row) => row.name === input.name);
    if (namesake !== undefined) {
      return { kind: "name_exists", token: namesake.token };
    }
    if (live.length >= limit) {
      return { kind: "limit", limit };
    }
    const row = await transaction
      .insertInto("agent_tokens")
      .values(toRow(input))
      .returningAll()
      .executeTakeFirstOrThrow();
    return { kind: "created", record: toRecord(row) };
  });
}

async function loadLimit(
  db: Kysely<Tables> | Transaction<Tables>,
  deployment: string,
): Promise<number | undefined> {
  const row = await db
    .selectFrom("deployments")
    .select("settings_json")
    .where("deployment", "=", deployment)
    .executeTakeFirst();
  if (row === undefined) {
    return undefined;
  }
  const settings = JSON.parse(row.settings_json) as Partial<DeploymentSettings>;
  return settings.maxAgentTokens ?? defaultDeploymentSettings.maxAgentTokens;
}

async function listLive(
  db: Kysely<Tables> | Transaction<Tables>,
  deployment: string,
  nowMs: number,
): Promise<{ token: string; name: string }[]> {
  return db
    .selectFrom("agent_tokens")
    .select(["token", "name"])
    .where("deployment", "=", deployment)
    .where("revoked_at_ms", "is", null)
    .where((where) =>
      where.or([where("expires_at_ms", "is", null), where("expires_at_ms", ">", nowMs)]),
    )
    .execute();
}

async function listTokens(
  db: Kysely<Tables>,
  request: AgentTokenPageRequest,
): Promise<AgentTokenPage | undefined> {
  const limit = await loadLimit(db, request.deployment);
  if (limit === undefined) {
    return undefined;
  }
  const live = await listLive(db, request.deployment, request.nowMs);
  let query = db
    .selectFrom("agent_tokens")
    .selectAll()
    .where("deployment", "=", request.deployment)
    .orderBy("created_at_ms", "desc")
    .orderBy("token", "desc")
    .limit(request.pageSize);
  if (!request.withEnded) {
    query = query
      .where("revoked_at_ms", "is", null)
      .where((where) =>
        where.or([where("expires_at_ms", "is", null), where("expires_at_ms", ">", request.nowMs)]),
      );
  }
  const before = request.before;
  if (before !== undefined) {
    query = query.where((where) =>
      where.or([
        where("created_at_ms", "<", before.createdAtMs),
        where.and([
          where("created_at_ms", "=", before.createdAtMs),
          where("token", "<", before.token),
        ]),
      ]),
    );
  }
  const rows = await query.execute();
  return { records: rows.map(toRecord), live: live.length, limit };
}

async function revokeToken(
  db: Kysely<Tables>,
  deployment: string,
  tokenOrName: string,
  nowMs: number,
): Promise<AgentTokenRecord | undefined> {
  return db.transaction().execute(async (transaction) => {
    const rows = await transaction
      .selectFrom("agent_tokens")
      .selectAll()
      .where("deployment", "=", deployment)
      .where((where) =>
        where.or([where("token", "=", tokenOrName), where("name", "=", tokenOrName)]),
      )
      .execute();
    const row =
      rows.find((candidate) => candidate.token === tokenOrName) ??
      rows.find((candidate) => isLive(candidate, nowMs));
    if (row === undefined) {
      return undefined;
    }
    if (row.revoked_at_ms === null) {
      await transaction
        .updateTable("agent_tokens")
        .set({ revoked_at_ms: nowMs })
        .where("token", "=", row.token)
        .execute();
    }
    return toRecord({ ...row, revoked_at_ms: row.revoked_at_ms ?? nowMs });
  });
}

function isLive(row: Selectable<Tables["agent_tokens"]>, nowMs: number): boolean {
  return row.revoked_at_ms === null && (row.expires_at_ms === null || row.expires_at_ms > nowMs);
}

async function recordUse(
  db: Kysely<Tables>,
  uses: readonly { readonly token: string; readonly atMs: number; readonly address: string }[],
): Promise<void> {
  if (uses.length === 0) {
    return;
  }
  await db.transaction().execute(async (transaction) => {
    for (const use of uses) {
      await transaction
        .updateTable("agent_tokens")
        .set({ last_used_at_ms: use.atMs, last_used_address: use.address })
        .where("token", "=", use.token)
        .where((where) =>
          where.or([where("last_used_at_ms", "is", null), where("last_used_at_ms", "<", use.atMs)]),
        )
        .execute();
    }
  });
}

function toRow(input: NewAgentToken): Selectable<Tables["agent_tokens"]> {
  return {
    token: input.token,
    deployment: input.deployment,
    name: input.name,
    description: input.description,
    kinds_json: JSON.stringify(input.kinds),
    queues_json: JSON.stringify(input.queues),
    pepper_version: input.pepperVersion,
    digest: input.digest,
    created_at_ms: input.createdAtMs,
    expires_at_ms: input.expiresAtMs,
    revoked_at_ms: null,
    last_used_at_ms: null,
    last_used_address: "",
  };
}

function toRecord(row: Selectable<Tables["agent_tokens"]>): AgentTokenRecord {
  return {
    token: row.token,
    deployment: row.deployment,
    name: row.name,
    description: row.description,
    kinds: JSON.parse(row.kinds_json) as string[],
    queues: JSON.parse(row.queues_json) as string[],
    pepperVersion: row.pepper_version,
    digest: row.digest,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
    revokedAtMs: row.revoked_at_ms,
    lastUsedAtMs: row.last_used_at_ms,
  };
}
