// SPDX-License-Identifier: Apache-2.0
// The queues of each deployment; every change also raises the number that projections are compared by.

import { defaultQueue } from "@remex/domain";
import type { Kysely, Selectable } from "kysely";
import { raiseProjection } from "../deployment/deployment-records.ts";
import type { Tables } from "../engine/tables.ts";

/** Most queues of one deployment. */
export const maxQueues = 1_000;

export interface QueueRecord {
  readonly deployment: string;
  readonly queue: string;
  readonly description: string;
  readonly createdAtMs: number;
}

export type CreateQueueResult =
  | { readonly kind: "created"; readonly record: QueueRecord }
  | { readonly kind: "exists"; readonly record: QueueRecord }
  | { readonly kind: "deployment_unknown" }
  | { readonly kind: "limit"; readonly limit: number };

export type DeleteQueueResult = "deleted" | "unknown" | "is_default" | "deployment_unknown";

export interface QueueRecords {
  create(input: QueueRecord): Promise<CreateQueueResult>;
  list(deployment: string): Promise<QueueRecord[]>;
  delete(deployment: string, queue: string): Promise<DeleteQueueResult>;
}

export function createQueueRecords(db: Kysely<Tables>): QueueRecords {
  return {
    create: (input) => createQueue(db, input),
    list: async (deployment) => {
      const rows = await db
        .selectFrom("queues")
        .selectAll()
        .where("deployment", "=", deployment)
        .orderBy("queue")
        .execute();
      return rows.map(toRecord);
    },
    delete: (deployment, queue) => deleteQueue(db, deployment, queue),
  };
}

async function createQueue(db: Kysely<Tables>, input: QueueRecord): Promise<CreateQueueResult> {
  return db.transaction().execute(async (transaction) => {
    // First, because it locks the deployment: the count below cannot change any more.
    if (!(await raiseProjection(transaction, input.deployment))) {
      return { kind: "deployment_unknown" };
    }
    const rows = await transaction
      .selectFrom("queues")
      .selectAll()
      .where("deployment", "=", input.deployment)
      .execute();
    const existing = rows.find((row) => row.queue === input.queue);
    if (existing !== undefined) {
      return { kind: "exists", record: toRecord(existing) };
    }
    if (rows.length >= maxQueues) {
      return { kind: "limit", limit: maxQueues };
    }
    const row = await transaction
      .insertInto("queues")
      .values({
        deployment: input.deployment,
        queue: input.queue,
        description: input.description,
        created_at_ms: input.createdAtMs,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
    return { kind: "created", record: toRecord(row) };
  });
}

async function deleteQueue(
  db: Kysely<Tables>,
  deployment: string,
  queue: string,
): Promise<DeleteQueueResult> {
  if (queue === defaultQueue) {
    return "is_default";
  }
  return db.transaction().execute(async (transaction) => {
    if (!(await raiseProjection(transaction, deployment))) {
      return "deployment_unknown";
    }
    const row = await transaction
      .deleteFrom("queues")
      .where("deployment", "=", deployment)
      .where("queue", "=", queue)
      .returning("queue")
      .executeTakeFirst();
    return row === undefined ? "unknown" : "deleted";
  });
}

function toRecord(row: Selectable<Tables["queues"]>): QueueRecord {
  return {
    deployment: row.deployment,
    queue: row.queue,
    description: row.description,
    createdAtMs: row.created_at_ms,
  };
}
