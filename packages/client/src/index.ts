// SPDX-License-Identifier: Apache-2.0
// The public door of @remex/client: names only, no code.

export { Code } from "@connectrpc/connect";
export { Availability } from "@remex/proto/agent/v1";
export {
  AgentKind,
  type AttemptId,
  type ErrorDetail,
  OnCut,
  OnLost,
  type Outcome,
  OutcomeKind,
  OutcomeReason,
  Role,
  type SessionId,
  type TaskSpec,
  TaskSpecSchema,
  type TriggerWork,
  TriggerWorkSchema,
} from "@remex/proto/common/v1";
export {
  type GetStatusResponse,
  GetStatusResponseSchema,
  type WhoAmIResponse,
  WhoAmIResponseSchema,
} from "@remex/proto/gateway/v1";
export { AgentHealth } from "@remex/proto/health/v1";
export {
  type Agent,
  AgentSchema,
  type Brake,
  BrakeSchema,
  type Deployment,
  DeploymentSchema,
  type DeploymentSettings,
  DeploymentSettingsSchema,
  type Group,
  GroupSchema,
  Maintenance,
  type Queue,
  QueueSchema,
} from "@remex/proto/registry/v1";
export {
  type Attempt,
  AttemptStage,
  type CancelResult,
  CancelResultSchema,
  ExplainTaskResponseSchema,
  type SubmitResult,
  SubmitResultSchema,
  type Task,
  type TaskChange,
  TaskChangeSchema,
  TaskSchema,
  TaskState,
  type TaskSubmission,
  TaskSubmissionSchema,
  type TriggerEventRecord,
  TriggerEventRecordSchema,
} from "@remex/proto/scheduler/v1";
export {
  type AgentToken,
  AgentTokenSchema,
  CreateAgentTokenResponseSchema,
  CreateOperatorKeyResponseSchema,
  type OperatorKey,
  OperatorKeySchema,
} from "@remex/proto/token/v1";
export {
  type CallFailure,
  callErrorOf,
  canceledCode,
  failureOfDetail,
  keyUnusableCode,
  RemexCallError,
  timeoutCode,
  unexplainedCode,
  unreachableCode,
} from "./call-error.ts";
export { type Pacing, realPacing } from "./pacing.ts";
export {
  collectAll,
  eachAgent,
  eachAgentToken,
  eachAuditEntry,
  eachDeployment,
  eachOfPages,
  eachTask,
  eachTriggerEvent,
} from "./pages.ts";
export { createRemexClient, type RemexClient, type RemexClientOptions } from "./remex-client.ts";
export type { KeyProvider } from "./remex-transport.ts";
export type { RepeatPolicy } from "./repeat-call.ts";
export type { ResumeOptions } from "./resumed-stream.ts";
export { type ReadTaskLogOptions, readTaskLog, type TaskLogPart } from "./task-log.ts";
export { isTerminal, type WaitForTasksOptions, waitForTasks } from "./wait-for-tasks.ts";
export { type TaskHistory, type WatchTasksOptions, watchTasks } from "./watch-tasks.ts";
