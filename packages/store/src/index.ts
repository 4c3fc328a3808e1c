// SPDX-License-Identifier: Apache-2.0
// The public door of the store.
export { createEpochCell, type EpochCell } from "./core/epoch-cell.ts";
export {
  type FunctionLibrary,
  loadFunctionLibraries,
  readFunctionLibrary,
} from "./core/function-library.ts";
export { channels, configKey, deploymentTag, globalKeys } from "./core/keys.ts";
export { pairRecords } from "./core/records-pairing.ts";
export { isRedisReady, openRedis, type RedisConnections, type RedisTarget } from "./core/redis.ts";
export {
  createReplicaFence,
  type ReplicaFence,
  type ReplicaFenceOptions,
} from "./core/replica-fence.ts";
export { checkRedis, judgeRedisInfo, type RedisFitness } from "./core/redis-checks.ts";
export {
  listReplicas,
  REPLICA_RENEW_MS,
  REPLICA_TTL_MS,
  type ReplicaRecord,
  removeReplica,
  renewReplica,
} from "./core/replica-store.ts";
export { subscribeSignals } from "./core/signals.ts";
export {
  createStore,
  defineFunction,
  type FunctionArgument,
  type FunctionReply,
  type Store,
  type StoreFunction,
  type StoreGuards,
} from "./core/store.ts";
export { StoreUnavailable } from "./core/store-error.ts";
export {
  createDeploymentStore,
  type DeploymentConfig,
  type DeploymentStore,
  deploymentLibrary,
  type ProjectedDeployment,
  type ProjectResult,
} from "./deployment/deployment-store.ts";
export {
  askIdentity,
  type EpochBeginning,
  type EpochLook,
  type EpochLookOptions,
  ensureEpoch,
  epochLibrary,
  lookAtEpoch,
} from "./epoch/epoch-store.ts";
export { readServerIdentity, type ServerIdentity } from "./epoch/server-identity.ts";
export type { ControlRows, ControlsMarker, GoneReply } from "./session/control-functions.ts";
export { giveupKey, sessionKey } from "./session/keys.ts";
export type {
  BeatAnswer,
  Brake,
  BrakeReply,
  ExpireReply,
  LeaseBeat,
  LeaseVerdict,
  MonitorView,
  RenewReply,
  TurnedAwayHello,
} from "./session/lease-functions.ts";
export type { Refused } from "./session/session-call.ts";
export {
  type AgentsReply,
  type DownStream,
  type EndingReply,
  type Giveup,
  type LeaveReply,
  type OpenClaim,
  type OpenReply,
  type ResumeClaim,
  type ResumeReply,
  sessionLibrary,
} from "./session/session-functions.ts";
export {
  onCutFromText,
  type SessionFacts,
  type SessionRecord,
  type SessionState,
} from "./session/session-record.ts";
export { createSessionStore, type SessionStore } from "./session/session-store.ts";
export type { TaskRefused } from "./task/task-call.ts";
export type {
  EventGroup,
  EventItem,
  EventJudgement,
  TriggerEventRow,
} from "./task/task-events.ts";
export type {
  AttemptRow,
  ChangeEntry,
  TaskChangeRow,
  TaskRow,
} from "./task/task-reads.ts";
export type { TaskRefusal, TaskStanding } from "./task/task-explanation.ts";
export type { AuditMatter, DroppedCalls, RefusedReport } from "./task/task-refusals.ts";
export { createTaskStore, type TaskStore, taskLibrary } from "./task/task-store.ts";
export type {
  CancelAnswer,
  HeldAttempt,
  InventoryItem,
  InventoryJudgement,
  RebuildFacts,
} from "./task/task-upkeep.ts";
export type {
  AcceptGroup,
  AttemptNote,
  ClaimCandidate,
  Claimed,
  ClaimedTask,
  DeclinedAttempt,
  ReportGroup,
  ReportItem,
  ReportJudgement,
  SubmitAnswer,
  SubmitItem,
} from "./task/task-writes.ts";
