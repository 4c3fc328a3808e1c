// SPDX-License-Identifier: Apache-2.0
// The tables of the records store as Kysely sees them; times are milliseconds since 1970.

import type { Generated } from "kysely";

export interface Tables {
  deployments: DeploymentsTable;
  queues: QueuesTable;
  agent_tokens: AgentTokensTable;
  agent_token_counters: AgentTokenCountersTable;
  operator_keys: OperatorKeysTable;
  operator_key_counters: OperatorKeyCountersTable;
  pepper_fingerprints: PepperFingerprintsTable;
  audit_entries: AuditEntriesTable;
  audit_heads: AuditHeadsTable;
  store_ids: StoreIdsTable;
  agent_controls: AgentControlsTable;
  agent_groups: AgentGroupsTable;
  agent_tombstones: AgentTombstonesTable;
  agent_control_counters: AgentControlCountersTable;
}

interface DeploymentsTable {
  deployment: string;
  display_name: string;
  settings_json: string;
  /** Counts changes of this row's settings and name; callers give it back to refuse a lost update. */
  revision: number;
  /** Counts changes of the row and of its queues; what a projection is compared by. */
  projection: number;
  interval_version: number;
  /** Epoch of Redis in which the deployment was made; 0 when it was not known. */
  created_epoch: Generated<number>;
  created_at_ms: number;
  updated_at_ms: number;
}

interface QueuesTable {
  deployment: string;
  queue: string;
  description: string;
  created_at_ms: number;
}

interface AgentTokensTable {
  token: string;
  deployment: string;
  name: string;
  description: string;
  kinds_json: string;
  queues_json: string;
  pepper_version: number;
  digest: string;
  created_at_ms: number;
  expires_at_ms: number | null;
  revoked_at_ms: number | null;
  last_used_at_ms: number | null;
  last_used_address: string;
}

/** One row a deployment, locked by whoever counts its live tokens. */
interface AgentTokenCountersTable {
  deployment: string;
  created: number;
}

interface OperatorKeysTable {
  key: string;
  name: string;
  role: string;
  deployment: string;
  pepper_version: number;
  digest: string;
  created_at_ms: number;
  expires_at_ms: number | null;
  revoked_at_ms: number | null;
}

/** One row in all, locked by whoever counts live keys. */
interface OperatorKeyCountersTable {
  id: number;
  created: number;
}

interface PepperFingerprintsTable {
  version: number;
  fingerprint: string;
}

interface AuditEntriesTable {
  number: number;
  entry: string;
  at_ms: number;
  actor: string;
  address: string;
  action: string;
  deployment: string;
  subject: string;
  result: string;
  detail_json: string;
  hash: string;
}

/** One row in all: the end of the chain. */
interface AuditHeadsTable {
  id: number;
  number: number;
  hash: string;
}

interface StoreIdsTable {
  id: number;
  store_id: string;
  created_at_ms: number;
}

/** What operators decided about agents, by name. */
interface AgentControlsTable {
  deployment: string;
  agent: string;
  /** Of the deployment's counter at the last change; what a projection is compared by. */
  revision: number;
  kind: string;
  note: string;
  /** By the store's clock. */
  deadline_at_ms: number | null;
  /** By the store's clock. */
  name_free_at_ms: number | null;
  changed_at_ms: number;
}

interface AgentGroupsTable {
  deployment: string;
  group_name: string;
  revision: number;
  /** 0 or 1. */
  cordoned: number;
  note: string;
  on_cut: string | null;
  lost_after_ms: number | null;
  changed_at_ms: number;
}

/** Instances that are refused for good (O3). */
interface AgentTombstonesTable {
  deployment: string;
  instance: string;
  agent: string;
  revision: number;
  deleted_at_ms: number;
}

/** One row a deployment, locked by whoever changes what is above. */
interface AgentControlCountersTable {
  deployment: string;
  revision: number;
}
