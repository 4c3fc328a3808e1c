// SPDX-License-Identifier: Apache-2.0
// Sessions and attempts are numbered by (store epoch, number); this is their codec and order (I9).

/** An epoch and a number within it, both safe integers; number 0 means "none". */
export interface NumberedRef {
  /** Store epoch: the store's time in seconds when the epoch began. */
  readonly epoch: number;
  /** Number within the epoch, from 1. */
  readonly number: number;
}

/** Names one session of an agent. */
export type SessionRef = NumberedRef;
/** Names one attempt at a task. */
export type AttemptRef = NumberedRef;

/** The form that the contracts carry. */
export interface WireRef {
  readonly epoch: bigint;
  readonly number: bigint;
}

/** Written in Redis, logs and on screens: "epoch.number". */
export function formatRef(ref: NumberedRef): string {
  return `${ref.epoch}.${ref.number}`;
}

const refPattern = /^(0|[1-9]\d{0,15})\.(0|[1-9]\d{0,15})$/;

/** Reads "epoch.number"; undefined when it is not one. */
export function parseRef(text: string): NumberedRef | undefined {
  const match = refPattern.exec(text);
  if (match === null) return undefined;
  const epoch = Number(match[1]);
  const number = Number(match[2]);
  return Number.isSafeInteger(epoch) && Number.isSafeInteger(number)
    ? { epoch, number }
    : undefined;
}

/** Reads "epoch.number" that we wrote ourselves; throws when it is not one. */
export function requireRef(text: string): NumberedRef {
  const ref = parseRef(text);
  if (ref === undefined) throw new RangeError(`${JSON.stringify(text)} is not epoch.number`);
  return ref;
}

/** From the contracts' form; undefined when it is absent, has number 0, or is beyond what is safe. */
export function refFromWire(wire: WireRef | undefined): NumberedRef | undefined {
  if (wire === undefined || wire.number <= 0n || wire.epoch < 0n) return undefined;
  if (wire.number > maxSafe || wire.epoch > maxSafe) return undefined;
  return { epoch: Number(wire.epoch), number: Number(wire.number) };
}

const maxSafe = BigInt(Number.MAX_SAFE_INTEGER);

/** To the contracts' form. */
export function refToWire(ref: NumberedRef): { epoch: bigint; number: bigint } {
  return { epoch: BigInt(ref.epoch), number: BigInt(ref.number) };
}

/** Negative when `left` is older, 0 when equal, positive when newer: by epoch, then by number. */
export function compareRefs(left: NumberedRef, right: NumberedRef): number {
  return left.epoch !== right.epoch ? left.epoch - right.epoch : left.number - right.number;
}

/** True when both name the same; absent ones are equal to absent ones alone. */
export function sameRef(left: NumberedRef | undefined, right: NumberedRef | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  return left.epoch === right.epoch && left.number === right.number;
}
