// SPDX-License-Identifier: Apache-2.0
// The migrations of the records store, run at every start; several processes may start at once.

import { type Kysely, sql } from "kysely";
import { type Migration, type MigrationProvider, Migrator } from "kysely/migration";
import type { Tables } from "./tables.ts";

/** One row tables hold exactly this id. */
const onlyRow = 1;

const firstTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await createDeploymentTables(db);
    await createCredentialTables(db);
    await createAuditTables(db);
    await db.schema
      .createTable("store_ids")
      .addColumn("id", "integer", (column) => column.primaryKey())
      .addColumn("store_id", "text", (column) => column.notNull())
      .addColumn("created_at_ms", "bigint", (column) => column.notNull())
      .execute();
  },
};

async function createDeploymentTables(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("deployments")
    .addColumn("deployment", "text", (column) => column.primaryKey())
    .addColumn("display_name", "text", (column) => column.notNull())
    .addColumn("settings_json", "text", (column) => column.notNull())
    .addColumn("revision", "bigint", (column) => column.notNull())
    .addColumn("projection", "bigint", (column) => column.notNull())
    .addColumn("interval_version", "bigint", (column) => column.notNull())
    .addColumn("created_at_ms", "bigint", (column) => column.notNull())
    .addColumn("updated_at_ms", "bigint", (column) => column.notNull())
    .execute();
  await db.schema
    .createTable("queues")
    .addColumn("deployment", "text", (column) =>
      column.notNull().references("deployments.deployment"),
    )
    .addColumn("queue", "text", (column) => column.notNull())
    .addColumn("description", "text", (column) => column.notNull())
    .addColumn("created_at_ms", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("queues_key", ["deployment", "queue"])
    .execute();
}

async function createCredentialTables(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("agent_tokens")
    .addColumn("token", "text", (column) => column.primaryKey())
    .addColumn("deployment", "text", (column) =>
      column.notNull().references("deployments.deployment"),
    )
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("description", "text", (column) => column.notNull())
    .addColumn("kinds_json", "text", (column) => column.notNull())
    .addColumn("queues_json", "text", (column) => column.notNull())
    .addColumn("pepper_version", "integer", (column) => column.notNull())
    .addColumn("digest", "text", (column) => column.notNull())
    .addColumn("created_at_ms", "bigint", (column) => column.notNull())
    .addColumn("expires_at_ms", "bigint")
    .addColumn("revoked_at_ms", "bigint")
    .addColumn("last_used_at_ms", "bigint")
    .addColumn("last_used_address", "text", (column) => column.notNull())
    .execute();
  await db.schema
    .createIndex("agent_tokens_by_deployment")
    .on("agent_tokens")
    .columns(["deployment", "created_at_ms"])
    .execute();
  await db.schema
    .createTable("agent_token_counters")
    .addColumn("deployment", "text", (column) => column.primaryKey())
    .addColumn("created", "bigint", (column) => column.notNull())
    .execute();
  await db.schema
    .createTable("operator_keys")
    .addColumn("key", "text", (column) => column.primaryKey())
    .addColumn("name", "text", (column) => column.notNull())
    .addColumn("role", "text", (column) => column.notNull())
    .addColumn("deployment", "text", (column) => column.notNull())
    .addColumn("pepper_version", "integer", (column) => column.notNull())
    .addColumn("digest", "text", (column) => column.notNull())
    .addColumn("created_at_ms", "bigint", (column) => column.notNull())
    .addColumn("expires_at_ms", "bigint")
    .addColumn("revoked_at_ms", "bigint")
    .execute();
  await db.schema
    .createTable("operator_key_counters")
    .addColumn("id", "integer", (column) => column.primaryKey())
    .addColumn("created", "bigint", (column) => column.notNull())
    .execute();
  await sql`insert into operator_key_counters (id, created) values (${onlyRow}, 0)`.execute(db);
}

async function createAuditTables(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("audit_entries")
    .addColumn("number", "bigint", (column) => column.primaryKey())
    .addColumn("entry", "text", (column) => column.notNull().unique())
    .addColumn("at_ms", "bigint", (column) => column.notNull())
    .addColumn("actor", "text", (column) => column.notNull())
    .addColumn("address", "text", (column) => column.notNull())
    .addColumn("action", "text", (column) => column.notNull())
    .addColumn("deployment", "text", (column) => column.notNull())
    .addColumn("subject", "text", (column) => column.notNull())
    .addColumn("result", "text", (column) => column.notNull())
    .addColumn("detail_json", "text", (column) => column.notNull())
    .addColumn("hash", "text", (column) => column.notNull())
    .execute();
  await db.schema
    .createTable("audit_heads")
    .addColumn("id", "integer", (column) => column.primaryKey())
    .addColumn("number", "bigint", (column) => column.notNull())
    .addColumn("hash", "text", (column) => column.notNull())
    .execute();
  await sql`insert into audit_heads (id, number, hash) values (${onlyRow}, 0, '')`.execute(db);
}

const pepperFingerprints: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable("pepper_fingerprints")
      .addColumn("version", "integer", (column) => column.primaryKey())
      .addColumn("fingerprint", "text", (column) => column.notNull())
      .execute();
  },
};

const agentControls: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .createTable("agent_controls")
      .addColumn("deployment", "text", (column) =>
        column.notNull().references("deployments.deployment"),
      )
      .addColumn("agent", "text", (column) => column.notNull())
      .addColumn("revision", "bigint", (column) => column.notNull())
      .addColumn("kind", "text", (column) => column.notNull())
      .addColumn("note", "text", (column) => column.notNull())
      .addColumn("deadline_at_ms", "bigint")
      .addColumn("name_free_at_ms", "bigint")
      .addColumn("changed_at_ms", "bigint", (column) => column.notNull())
      .addPrimaryKeyConstraint("agent_controls_key", ["deployment", "agent"])
      .execute();
    await db.schema
      .createTable("agent_groups")
      .addColumn("deployment", "text", (column) =>
        column.notNull().references("deployments.deployment"),
      )
      .addColumn("group_name", "text", (column) => column.notNull())
      .addColumn("revision", "bigint", (column) => column.notNull())
      .addColumn("cordoned", "integer", (column) => column.notNull())
      .addColumn("note", "text", (column) => column.notNull())
      .addColumn("on_cut", "text")
      .addColumn("lost_after_ms", "bigint")
      .addColumn("changed_at_ms", "bigint", (column) => column.notNull())
      .addPrimaryKeyConstraint("agent_groups_key", ["deployment", "group_name"])
      .execute();
    await db.schema
      .createTable("agent_tombstones")
      .addColumn("deployment", "text", (column) =>
        column.notNull().references("deployments.deployment"),
      )
      .addColumn("instance", "text", (column) => column.notNull())
      .addColumn("agent", "text", (column) => column.notNull())
      .addColumn("revision", "bigint", (column) => column.notNull())
      .addColumn("deleted_at_ms", "bigint", (column) => column.notNull())
      .addPrimaryKeyConstraint("agent_tombstones_key", ["deployment", "instance"])
      .execute();
    await db.schema
      .createTable("agent_control_counters")
      .addColumn("deployment", "text", (column) => column.primaryKey())
      .addColumn("revision", "bigint", (column) => column.notNull())
      .execute();
    for (const table of ["agent_controls", "agent_groups", "agent_tombstones"]) {
      await db.schema
        .createIndex(`${table}_by_revision`)
        .on(table)
        .columns(["deployment", "revision"])
        .execute();
    }
  },
};

const createdEpoch: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await db.schema
      .alterTable("deployments")
      .addColumn("created_epoch", "bigint", (column) => column.notNull().defaultTo(0))
      .execute();
  },
};

const provider: MigrationProvider = {
  getMigrations: async () => ({
    "0001_first_tables": firstTables,
    "0002_pepper_fingerprints": pepperFingerprints,
    "0003_agent_controls": agentControls,
    "0004_created_epoch": createdEpoch,
  }),
};

/** Brings the store to the newest tables. Safe to run in several processes at once. */
export async function migrateToLatest(db: Kysely<Tables>): Promise<void> {
  const migrator = new Migrator({ db, provider });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) {
    throw new Error("the records store cannot be brought to this version's tables", {
      cause: error,
    });
  }
}
