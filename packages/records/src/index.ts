// SPDX-License-Identifier: Apache-2.0
// The public door of the records store.
export type {
  AgentControlRecord,
  AgentControlRecords,
  ChangeControlResult,
  ControlChanges,
  GroupRecord,
  TombstoneRecord,
} from "./agent-control/agent-control-records.ts";
export type {
  AgentTokenPage,
  AgentTokenPageRequest,
  AgentTokenRecord,
  AgentTokenRecords,
  CreateAgentTokenResult,
  NewAgentToken,
} from "./agent-token/agent-token-records.ts";
export {
  type AuditEntryContent,
  type AuditEntryRecord,
  decideAuditHash,
  findBrokenAuditEntry,
} from "./audit/audit-chain.ts";
export type { AuditPageRequest, AuditRecords } from "./audit/audit-records.ts";
export type {
  DeploymentChange,
  DeploymentProjectionRecord,
  DeploymentRecord,
  DeploymentRecords,
  NewDeployment,
  UpdateDeploymentResult,
} from "./deployment/deployment-records.ts";
export type {
  CreateOperatorKeyResult,
  NewOperatorKey,
  OperatorKeyRecord,
  OperatorKeyRecords,
  OperatorRole,
  RevokeOperatorKeyResult,
} from "./operator-key/operator-key-records.ts";
export type { PepperRecords } from "./pepper/pepper-records.ts";
export {
  type CreateQueueResult,
  type DeleteQueueResult,
  maxQueues,
  type QueueRecord,
  type QueueRecords,
} from "./queue/queue-records.ts";
export { findRecordsUrlProblem, openRecords, type Records } from "./records.ts";
export { withRecords } from "./records-call.ts";
export type { StoreIdRecords } from "./store-id/store-id-records.ts";
