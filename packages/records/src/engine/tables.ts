// SPDX-License-Identifier: Apache-2.0
// The tables of the records store as Kysely sees them; times are milliseconds since 1970.

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
