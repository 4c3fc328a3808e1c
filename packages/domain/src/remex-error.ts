// SPDX-License-Identifier: Apache-2.0
// A failure as data (for refusals that are return values) and as an exception (for the edges).

import {
  type ConnectCodeName,
  type FactsOf,
  type FailureCode,
  failures,
  isFailureCode,
} from "./errors.ts";

/** A refusal as plain data: what a decision returns, and what an ErrorDetail carries. */
export interface Failure {
  /** Stable code; of a newer peer it may be one that this version does not list. */
  readonly code: string;
  readonly connectCode: ConnectCodeName;
  readonly message: string;
  readonly retryable: boolean;
  /** Absent when the caller chooses how long to wait. */
  readonly retryAfterMs?: number;
  readonly facts: Readonly<Record<string, string>>;
}

export interface FailureOptions {
  readonly retryAfterMs?: number;
  /** Further facts, beyond those that the message names. */
  readonly moreFacts?: Readonly<Record<string, string | number>>;
}

type FactArguments<Code extends FailureCode> = keyof FactsOf<Code> extends never
  ? [facts?: FactsOf<Code>, options?: FailureOptions]
  : [facts: FactsOf<Code>, options?: FailureOptions];

/** Builds a failure as data: `failureOf("queue_unknown", { queue, deployment })`. */
export function failureOf<Code extends FailureCode>(
  code: Code,
  ...[facts, options]: FactArguments<Code>
): Failure {
  const shape = failures[code];
  const texts: Record<string, string> = {};
  for (const [name, value] of Object.entries({ ...facts, ...options?.moreFacts })) {
    texts[name] = clip(String(value));
  }
  return {
    code,
    connectCode: shape.connect,
    message: shape.message.replace(/\{(\w+)\}/g, (whole, name: string) => texts[name] ?? whole),
    retryable: shape.retryable,
    ...(options?.retryAfterMs === undefined ? {} : { retryAfterMs: options.retryAfterMs }),
    facts: texts,
  };
}

/** A value that somebody sent may be long; a message need not be. */
const longestFact = 256;

function clip(text: string): string {
  return text.length <= longestFact ? text : `${text.slice(0, longestFact)}...`;
}

/** A failure that is thrown. `cause` stays in this process: it is never sent over the wire. */
export class RemexError extends Error {
  override readonly name = "RemexError";
  readonly failure: Failure;

  constructor(failure: Failure, options?: { readonly cause?: unknown }) {
    super(failure.message, options);
    this.failure = failure;
  }

  get code(): string {
    return this.failure.code;
  }

  get connectCode(): ConnectCodeName {
    return this.failure.connectCode;
  }

  get retryable(): boolean {
    return this.failure.retryable;
  }

  get retryAfterMs(): number | undefined {
    return this.failure.retryAfterMs;
  }

  get facts(): Readonly<Record<string, string>> {
    return this.failure.facts;
  }
}

type ErrorArguments<Code extends FailureCode> = keyof FactsOf<Code> extends never
  ? [facts?: FactsOf<Code>, options?: FailureOptions & { readonly cause?: unknown }]
  : [facts: FactsOf<Code>, options?: FailureOptions & { readonly cause?: unknown }];

/** Builds a failure to be thrown: `throw remexError("task_unknown", { task, deployment })`. */
export function remexError<Code extends FailureCode>(
  code: Code,
  ...[facts, options]: ErrorArguments<Code>
): RemexError {
  const build = failureOf as (code: string, facts: unknown, options: unknown) => Failure;
  return new RemexError(
    build(code, facts, options),
    options?.cause === undefined ? undefined : { cause: options.cause },
  );
}

/** True when `error` is a RemexError with one of the codes (with none given: any RemexError). */
export function isRemexError(error: unknown, ...codes: FailureCode[]): error is RemexError {
  if (!(error instanceof RemexError)) return false;
  return codes.length === 0 || (isFailureCode(error.code) && codes.includes(error.code));
}
