// SPDX-License-Identifier: Apache-2.0
// The public door of @remex/domain: names only, no code.

export { clockJumpMs, type StoreClockReading } from "./clock-jump.ts";
export {
  type AgentControl,
  type AgentStanding,
  availabilityOf,
  type ControlEvent,
  decideDelete,
  decideGone,
  freeGroup,
  type GroupControl,
  isNameHeld,
  nameHeldMs,
  stepControl,
} from "./agent-control.ts";
export {
  agentReleases,
  decideMaintenance,
  type MaintenanceDecision,
  maintenanceStates,
} from "./agent-releases.ts";
export {
  type DeploymentSettings,
  decideSettingFailures,
  defaultDeploymentSettings,
  durationSettingsOf,
  lostAfterProblem,
  type OnCutSetting,
} from "./deployment-settings.ts";
export {
  type DigestEntry,
  type DigestOutcome,
  inventoryDigestText,
  reportDigestBytes,
} from "./digest-text.ts";
export {
  type DurationSettings,
  type Durations,
  decideDurations,
  defaultDurationSettings,
} from "./durations.ts";
export {
  type ConnectCodeName,
  type FactsOf,
  type FailureCode,
  failures,
  isFailureCode,
} from "./errors.ts";
export { hopHeaders } from "./hop-headers.ts";
export {
  type AgentName,
  type DeploymentId,
  defaultGroup,
  defaultQueue,
  type Parsed,
  parseAgentName,
  parseDeploymentId,
  parseGroupName,
  parseIdempotencyKey,
  parseQueueName,
  parseTaskId,
  type QueueName,
  quoted,
  type ReplicaId,
  type TaskId,
  taskIdOfDigest,
  taskIdText,
} from "./ids.ts";
export {
  type Labels,
  labelsFit,
  maxAgentLabels,
  maxRequiredLabels,
  parseLabels,
} from "./labels.ts";
export {
  type Lease,
  type LeaseEvent,
  leaseAgeMs,
  leaseRemainingMs,
  leaseValid,
  noLease,
  type SentBeat,
  stepLease,
} from "./lease.ts";
export {
  type AttemptRef,
  compareRefs,
  formatRef,
  type NumberedRef,
  parseRef,
  refFromWire,
  refToWire,
  requireRef,
  type SessionRef,
  sameRef,
  type WireRef,
} from "./numbered-ref.ts";
export {
  controlPlaneReasons,
  type OutcomeKind,
  type OutcomeReason,
  outcomeKindName,
  outcomeKindOf,
  outcomeKinds,
  outcomeReasonName,
  outcomeReasonOf,
  outcomeReasons,
  reasonWord,
} from "./outcomes.ts";
export {
  type Failure,
  type FailureOptions,
  failureOf,
  isRemexError,
  RemexError,
  remexError,
} from "./remex-error.ts";
export { chooseByRendezvous } from "./rendezvous.ts";
export {
  type AcceptedHello,
  type AgentCapabilities,
  agentProtocol,
  decideCapabilities,
  decideHello,
  decideInventorySize,
  type HelloContext,
  maxAgentQueues,
  maxAgentSlots,
  type StatedHello,
  type TokenScope,
} from "./session-hello.ts";
export {
  type AgentHealthWord,
  type Availability,
  agentHealths,
  availabilities,
  decideOffers,
  type OfferDecision,
  type OfferFacts,
  sameOfferDecision,
} from "./session-offers.ts";
export {
  type AttemptStageName,
  type ConfirmedAttempt,
  defaultMaxRecoveries,
  type EndedAttempt,
  isTerminal,
  type LiveAttempt,
  longestLostAfterMs,
  lostAfterNeverMs,
  newTask,
  type OnLost,
  type ReportVerdictName,
  type TakenResult,
  type Task,
  type TaskPolicy,
  type TaskStateName,
  type TerminalState,
} from "./task.ts";
export type {
  AttemptWord,
  GiveUp,
  InventoryWord,
  SessionStanding,
  TaskAnswer,
  TaskEvent,
} from "./task-event.ts";
export {
  type AgentKindWord,
  agentKindOf,
  agentKinds,
  builtinTriggers,
  kindOfRuntime,
  runtimesOfKind,
  triggerRuntime,
} from "./agent-kind.ts";
export {
  type BuiltinTrigger,
  decideTrigger,
  type FileTrigger,
  type HttpTrigger,
  headersProblem,
  parseSecretHeaders,
  type StatedTrigger,
  type TimerTrigger,
} from "./builtin-trigger.ts";
export { type Lane, type LaneServer, laneFits, laneText, parseLane } from "./task-lane.ts";
export { stepTask, type TaskStep } from "./task-step.ts";
