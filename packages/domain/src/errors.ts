// SPDX-License-Identifier: Apache-2.0
// Lists every failure of Remex once: stable code, Connect code, whether a retry can help, message.

/** Names of the Connect and gRPC codes, as Connect writes them. */
export type ConnectCodeName =
  | "canceled"
  | "unknown"
  | "invalid_argument"
  | "deadline_exceeded"
  | "not_found"
  | "already_exists"
  | "permission_denied"
  | "resource_exhausted"
  | "failed_precondition"
  | "aborted"
  | "out_of_range"
  | "unimplemented"
  | "internal"
  | "unavailable"
  | "data_loss"
  | "unauthenticated";

interface FailureShape<Template extends string> {
  /** Code on the wire. */
  readonly connect: ConnectCodeName;
  /** True when the same call may succeed later without being changed. */
  readonly retryable: boolean;
  /** Message; each `{name}` is replaced by the fact of that name. */
  readonly message: Template;
}

function failure<const Template extends string>(
  connect: ConnectCodeName,
  message: Template,
  retry?: "retry",
): FailureShape<Template> {
  return { connect, message, retryable: retry === "retry" };
}

/**
 * Every failure by its stable code. A code never changes its meaning; a message may be worded better.
 * Messages are in lower case, name the thing and say what to do, and hold no secret.
 */
export const failures = {
  // ---- what was asked for is not there
  deployment_unknown: failure(
    "not_found",
    "there is no deployment {deployment}; list them with `remex deployments list`",
  ),
  queue_unknown: failure(
    "not_found",
    "there is no queue {queue} in deployment {deployment}; create it with `remex queues create {queue}`",
  ),
  task_unknown: failure(
    "not_found",
    "there is no task {task} in deployment {deployment}, or its retention has passed",
  ),
  agent_unknown: failure("not_found", "there is no agent {agent} in deployment {deployment}"),
  log_unknown: failure("not_found", "there is no log of task {task}: {reason}"),
  token_unknown: failure("not_found", "there is no agent token {token} in deployment {deployment}"),
  key_unknown: failure("not_found", "there is no operator key {key}"),

  // ---- what was asked for is not well formed
  argument_invalid: failure("invalid_argument", "{field} is not valid: {problem}"),
  agent_name_invalid: failure(
    "invalid_argument",
    "agent name {value} is not valid: use 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit",
  ),
  deployment_name_invalid: failure(
    "invalid_argument",
    "deployment slug {value} is not valid: use 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit",
  ),
  queue_name_invalid: failure(
    "invalid_argument",
    "queue name {value} is not valid: use 1 to 63 of a-z, A-Z, 0-9, _, - and ., beginning with a letter or digit",
  ),
  group_name_invalid: failure(
    "invalid_argument",
    "group name {value} is not valid: use 1 to 63 of a-z, A-Z, 0-9, _, - and ., beginning with a letter or digit",
  ),
  labels_invalid: failure("invalid_argument", "the labels are not valid: {problem}"),
  capabilities_invalid: failure(
    "invalid_argument",
    "what the agent says it can do is not valid: {problem}",
  ),
  kind_unknown: failure(
    "invalid_argument",
    "agent kind {kind} is not known; known are worker, triggerer and dag-processor",
  ),
  kind_unfit: failure(
    "failed_precondition",
    "an agent of kind {kind} cannot run with this runner, which has {runtimes} and none of what the kind does; {fix}",
  ),
  runtime_unknown: failure(
    "invalid_argument",
    "the task's work {runtime} is not known or not served here; known are command, noop, airflow and trigger (builtin)",
  ),
  trigger_event_stale: failure(
    "failed_precondition",
    "the event is of attempt {attempt} of task {task}, which is not current any more; the trigger was given up or taken over",
  ),
  trigger_event_too_large: failure(
    "invalid_argument",
    "the event has {bytes} bytes, more than {limit}; pass large data by reference",
  ),
  command_empty: failure(
    "invalid_argument",
    "the command is empty: give the program as the first item of argv",
  ),
  idempotency_key_invalid: failure(
    "invalid_argument",
    "the idempotency key has {bytes} bytes; use 1 to 256",
  ),
  batch_too_large: failure(
    "invalid_argument",
    "the batch holds {items} items, more than {limit}; send several",
  ),
  payload_too_large: failure(
    "invalid_argument",
    "the task's payload has {bytes} bytes, more than the {limit} that deployment {deployment} allows; pass large data by reference",
  ),
  slot_cost_too_large: failure(
    "invalid_argument",
    "slot cost {slotCost} is more than the {limit} that deployment {deployment} allows; lower it, or raise the limit with `remex deployments update {deployment} --max-slot-cost NUMBER`",
  ),
  durations_impossible: failure("invalid_argument", "the durations cannot work: {arithmetic}"),
  cursor_invalid: failure(
    "invalid_argument",
    "the cursor or page token is not one of ours; begin without one",
  ),
  message_too_large: failure(
    "resource_exhausted",
    "the message has more than {limit} bytes; send less at once",
  ),
  frame_invalid: failure("invalid_argument", "the frame breaks the contract: {problem}"),

  // ---- who asks
  token_refused: failure(
    "unauthenticated",
    "the agent token is not accepted; check that it is whole and belongs to this control plane",
  ),
  token_expired: failure(
    "unauthenticated",
    "the agent token has expired; create a new one and give it to the agent",
  ),
  token_revoked: failure(
    "unauthenticated",
    "the agent token was revoked; create a new one and give it to the agent",
  ),
  session_key_refused: failure(
    "unauthenticated",
    "the session key is not accepted; open a new session with the agent token",
  ),
  key_refused: failure(
    "unauthenticated",
    "the operator key is not accepted; check that it is whole and belongs to this control plane",
  ),
  key_expired: failure("unauthenticated", "the operator key has expired; ask for a new one"),
  key_revoked: failure("unauthenticated", "the operator key was revoked; ask for a new one"),
  key_missing: failure(
    "unauthenticated",
    "this call needs an operator key: send `authorization: Bearer rmk_...`",
  ),
  service_key_refused: failure(
    "unauthenticated",
    "the service key is missing or not the one of this installation; give every service the same --service-key-file",
  ),
  not_allowed: failure("permission_denied", "{who} may not call {method}: {problem}"),
  token_scope: failure(
    "permission_denied",
    "the agent token does not allow {what}; it allows {allowed}",
  ),

  // ---- what is there already, or is not as expected
  deployment_exists: failure(
    "already_exists",
    "deployment {deployment} exists already with other settings; change them with `remex deployments update {deployment}`",
  ),
  queue_exists: failure(
    "already_exists",
    "queue {queue} exists already in deployment {deployment}",
  ),
  token_name_exists: failure(
    "already_exists",
    "a live agent token of deployment {deployment} is named {name} already; choose another name or revoke it",
  ),
  key_name_exists: failure(
    "already_exists",
    "a live operator key is named {name} already; choose another name or revoke it",
  ),
  agent_name_alive: failure(
    "already_exists",
    "agent {agent} of deployment {deployment} is alive under another instance (last beat {ageSeconds} s ago); stop that one, or use another name; if it is gone already, the name is free in {freeInSeconds} s",
    "retry",
  ),
  agent_unguarded: failure(
    "already_exists",
    "agent {agent} of deployment {deployment} has not got the lock of its state directory: work of an older instance may still run there; it gets a session when that has ended",
    "retry",
  ),
  idempotency_conflict: failure(
    "already_exists",
    "key {key} was used for another task ({task}); use another key for other work",
  ),
  queue_not_empty: failure(
    "failed_precondition",
    "queue {queue} of deployment {deployment} still holds {tasks} tasks; wait or cancel them",
  ),
  agent_busy: failure(
    "failed_precondition",
    "agent {agent} of deployment {deployment} still runs {tasks} tasks; empty it first with `remex agents drain {agent}`, or kill them with `remex agents delete {agent} --force`",
  ),
  agent_work_held: failure(
    "failed_precondition",
    "agent {agent} of deployment {deployment} is away and {tasks} tasks are held for it; if it will not come back, say so: `remex agents delete {agent} --gone`",
  ),
  agent_not_gone: failure(
    "failed_precondition",
    "agent {agent} of deployment {deployment} was heard {ageSeconds} s ago; stop it and say so again in {goneInSeconds} s, or use `remex agents delete {agent} --force`",
  ),
  agent_deleted: failure(
    "failed_precondition",
    "agent {agent} of deployment {deployment} was deleted by an operator: {fix}",
  ),
  brake_not_engaged: failure(
    "failed_precondition",
    "no such brake holds agents of deployment {deployment} back; see `remex agents brake list`",
  ),
  queue_is_default: failure("failed_precondition", "queue default cannot be deleted"),
  last_admin_key: failure(
    "failed_precondition",
    "key {key} is the last admin key for all deployments; create another one first",
  ),
  revision_stale: failure(
    "aborted",
    "{what} was changed meanwhile: revision {actual} is in force, not {expected}; read it again",
  ),
  protocol_version_unsupported: failure(
    "failed_precondition",
    "the agent speaks protocol {min} to {max}, this control plane {supported}; {fix}",
  ),
  runner_busy: failure(
    "failed_precondition",
    "the runner serves another agent already; stop that agent, or give this one a state directory of its own",
    "retry",
  ),
  contract_version_unsupported: failure(
    "failed_precondition",
    "the agent speaks runner contract {min} to {max}, this runner {supported}; use versions that belong together",
  ),
  settings_not_in_effect: failure(
    "failed_precondition",
    "the settings of deployment {deployment} are not in effect in the store yet; try again",
    "retry",
  ),
  epoch_behind: failure(
    "unavailable",
    "agent {agent} has seen epoch {seen} of the store, which is at {epoch}: it was restored from an older state, or its clock is wrong; the agent tries again",
    "retry",
  ),
  session_ended: failure(
    "failed_precondition",
    "session {session} of agent {agent} is over: {reason}; open a new one",
  ),
  session_superseded: failure(
    "aborted",
    "this stream of session {session} was replaced by a newer one of the same agent",
  ),
  attempt_not_current: failure(
    "failed_precondition",
    "attempt {attempt} of task {task} is not current or not held by this session",
  ),
  attempt_unsettled: failure(
    "unavailable",
    "whether attempt {attempt} of task {task} is current is not known yet: its agent's inventory is not judged; try again",
    "retry",
  ),
  airflow_api_missing: failure(
    "failed_precondition",
    "deployment {deployment} has no Airflow API; set it with `remex deployments update {deployment} --airflow-api-url URL`",
  ),

  // ---- limits
  token_limit: failure(
    "resource_exhausted",
    "deployment {deployment} has {limit} live agent tokens, its limit; revoke one or raise the limit",
  ),
  queue_limit: failure(
    "resource_exhausted",
    "deployment {deployment} has {limit} queues, the limit; delete one",
  ),
  tasks_limit: failure(
    "resource_exhausted",
    "deployment {deployment} has {limit} queued tasks, its limit; wait or raise max_queued_tasks",
    "retry",
  ),
  admission_full: failure(
    "resource_exhausted",
    "this registry takes no more than {limit} connects per second; try again after a moment",
    "retry",
  ),
  too_many_failures: failure(
    "resource_exhausted",
    "too many refused credentials from this address; try again after a moment",
    "retry",
  ),

  // ---- what is away
  store_unavailable: failure(
    "unavailable",
    "the store is away, the outcome of the call is unknown: repeat it",
    "retry",
  ),
  records_unavailable: failure(
    "unavailable",
    "the records store is away; repeat the call",
    "retry",
  ),
  recorded_not_in_effect: failure(
    "unavailable",
    "{what} is recorded but not in effect yet; it will be, and the call is safe to repeat",
    "retry",
  ),
  service_unavailable: failure("unavailable", "no {service} can be reached; try again", "retry"),
  agent_away: failure(
    "unavailable",
    "agent {agent} is not connected now; try again when it is back",
    "retry",
  ),
  airflow_api_unreachable: failure(
    "unavailable",
    "the Airflow API of deployment {deployment} cannot be reached: {problem}",
    "retry",
  ),
  shutting_down: failure(
    "unavailable",
    "this process is shutting down; dial again to reach another",
    "retry",
  ),
  deadline_passed: failure(
    "deadline_exceeded",
    "no answer within {timeoutMs} ms; try again",
    "retry",
  ),
  call_failed: failure("unknown", "the call failed: {problem}"),
  canceled: failure("canceled", "the caller ended the call"),

  // ---- the rest
  not_served: failure("unimplemented", "{what} is not served yet"),
  internal: failure(
    "internal",
    "something went wrong inside; the service's log tells more under reference {reference}",
  ),
} as const;

/** Stable code of a failure. */
export type FailureCode = keyof typeof failures;

type Placeholders<Template extends string> =
  Template extends `${string}{${infer Name}}${infer Rest}` ? Name | Placeholders<Rest> : never;

/** Facts that the message of a code names. A fact is text or a number, never a secret. */
export type FactsOf<Code extends FailureCode> = {
  readonly [Name in Placeholders<(typeof failures)[Code]["message"]>]: string | number;
};

/** True when `code` is one of ours, so that it may index `failures`. */
export function isFailureCode(code: string): code is FailureCode {
  return Object.hasOwn(failures, code);
}
