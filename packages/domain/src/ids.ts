// SPDX-License-Identifier: Apache-2.0
// Names and ids: branded texts with their rules, and how a task's id follows from its key.

import { type Failure, failureOf } from "./remex-error.ts";

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** Immutable slug of a deployment. */
export type DeploymentId = Branded<"DeploymentId">;
/** Name of an agent, unique in its deployment. */
export type AgentName = Branded<"AgentName">;
/** Name of a queue of a deployment. */
export type QueueName = Branded<"QueueName">;
/** `t_` and 26 characters of lower-case base32. */
export type TaskId = Branded<"TaskId">;
/** Id of one process that serves a role. */
export type ReplicaId = Branded<"ReplicaId">;

/** What a parse function answers: the value, or why not. */
export type Parsed<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly failure: Failure };

const slugPattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const queuePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const taskPattern = /^t_[a-z2-7]{26}$/;

/** The queue that a task goes to when it names none, and that every deployment has. */
export const defaultQueue = "default" as QueueName;
/** The group of an agent that names none. */
export const defaultGroup = "default";

export function parseDeploymentId(text: string): Parsed<DeploymentId> {
  return slugPattern.test(text)
    ? { ok: true, value: text as DeploymentId }
    : { ok: false, failure: failureOf("deployment_name_invalid", { value: quoted(text) }) };
}

export function parseAgentName(text: string): Parsed<AgentName> {
  return slugPattern.test(text)
    ? { ok: true, value: text as AgentName }
    : { ok: false, failure: failureOf("agent_name_invalid", { value: quoted(text) }) };
}

export function parseQueueName(text: string): Parsed<QueueName> {
  return queuePattern.test(text)
    ? { ok: true, value: text as QueueName }
    : { ok: false, failure: failureOf("queue_name_invalid", { value: quoted(text) }) };
}

/** Groups are named like queues. */
export function parseGroupName(text: string): Parsed<string> {
  return queuePattern.test(text)
    ? { ok: true, value: text }
    : { ok: false, failure: failureOf("group_name_invalid", { value: quoted(text) }) };
}

/** A text that is no task id names no task, so the failure is `task_unknown`. */
export function parseTaskId(text: string, deployment: string): Parsed<TaskId> {
  return taskPattern.test(text)
    ? { ok: true, value: text as TaskId }
    : { ok: false, failure: failureOf("task_unknown", { task: quoted(text), deployment }) };
}

/** Untrusted text as it is shown in a message: quoted, control characters escaped. */
export function quoted(text: string): string {
  return JSON.stringify(text.length <= 80 ? text : `${text.slice(0, 80)}...`);
}

/**
 * What is hashed with SHA-256 for a task's id (PROTOCOL S6: a pure function of deployment and key).
 * Pass the digest to `taskIdOfDigest`.
 */
export function taskIdText(deployment: string, idempotencyKey: string): string {
  return `${deployment}\0${idempotencyKey}`;
}

const base32Alphabet = "abcdefghijklmnopqrstuvwxyz234567";
const taskIdCharacters = 26;

/** The task's id from the SHA-256 of `taskIdText`: the first 130 bits in base32 (RFC 4648). */
export function taskIdOfDigest(sha256: Uint8Array): TaskId {
  if (sha256.length !== 32) throw new RangeError("a SHA-256 digest has 32 bytes");
  let text = "t_";
  let bits = 0;
  let held = 0;
  for (const byte of sha256) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5 && text.length < taskIdCharacters + 2) {
      bits -= 5;
      text += base32Alphabet.charAt((held >> bits) & 31);
    }
    held &= (1 << bits) - 1;
  }
  return text as TaskId;
}

const longestIdempotencyKeyBytes = 256;

/** Checks a submitted key: 1 to 256 bytes of UTF-8. */
export function parseIdempotencyKey(text: string): Parsed<string> {
  const bytes = new TextEncoder().encode(text).length;
  return bytes >= 1 && bytes <= longestIdempotencyKeyBytes
    ? { ok: true, value: text }
    : { ok: false, failure: failureOf("idempotency_key_invalid", { bytes }) };
}
