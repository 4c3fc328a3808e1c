// SPDX-License-Identifier: Apache-2.0
// Opens the records store that a URL names and gives one object with everything it holds.

import { Kysely, sql } from "kysely";
import {
  type AgentControlRecords,
  createAgentControlRecords,
} from "./agent-control/agent-control-records.ts";
import {
  type AgentTokenRecords,
  createAgentTokenRecords,
} from "./agent-token/agent-token-records.ts";
import { type AuditRecords, createAuditRecords } from "./audit/audit-records.ts";
import {
  createDeploymentRecords,
  type DeploymentRecords,
} from "./deployment/deployment-records.ts";
import { migrateToLatest } from "./engine/migrations.ts";
import { createSqliteDialect } from "./engine/sqlite-dialect.ts";
import type { Tables } from "./engine/tables.ts";
import {
  createOperatorKeyRecords,
  type OperatorKeyRecords,
} from "./operator-key/operator-key-records.ts";
import { createPepperRecords, type PepperRecords } from "./pepper/pepper-records.ts";
import { createQueueRecords, type QueueRecords } from "./queue/queue-records.ts";
import { createStoreIdRecords, type StoreIdRecords } from "./store-id/store-id-records.ts";

export interface Records {
  readonly deployments: DeploymentRecords;
  readonly queues: QueueRecords;
  readonly agentControls: AgentControlRecords;
  readonly agentTokens: AgentTokenRecords;
  readonly operatorKeys: OperatorKeyRecords;
  readonly audit: AuditRecords;
  readonly peppers: PepperRecords;
  readonly storeId: StoreIdRecords;
  /** Reads something; throws when the store is away. */
  check(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the store and brings it to this version's tables. `url` is `sqlite:<path>`; the file is made
 * when it is not there, its folder must be.
 */
export async function openRecords(url: string): Promise<Records> {
  const db = new Kysely<Tables>({ dialect: chooseDialect(url) });
  try {
    await migrateToLatest(db);
  } catch (error) {
    await db.destroy();
    throw error;
  }
  return {
    deployments: createDeploymentRecords(db),
    queues: createQueueRecords(db),
    agentControls: createAgentControlRecords(db),
    agentTokens: createAgentTokenRecords(db),
    operatorKeys: createOperatorKeyRecords(db),
    audit: createAuditRecords(db),
    peppers: createPepperRecords(db),
    storeId: createStoreIdRecords(db),
    check: async () => {
      await sql`select 1`.execute(db);
    },
    close: () => db.destroy(),
  };
}

/** Says what is wrong with a records URL, or nothing. */
export function findRecordsUrlProblem(url: string): string | undefined {
  if (url.startsWith("postgres:") || url.startsWith("postgresql:")) {
    return "the PostgreSQL engine comes in a later version; use sqlite:<path> for now";
  }
  if (!url.startsWith("sqlite:") || url.length === "sqlite:".length) {
    return "the records store is named by sqlite:<path>, for example sqlite:./data/records.sqlite";
  }
  return undefined;
}

function chooseDialect(url: string) {
  const problem = findRecordsUrlProblem(url);
  if (problem !== undefined) {
    throw new Error(problem);
  }
  return createSqliteDialect(url.slice("sqlite:".length));
}
