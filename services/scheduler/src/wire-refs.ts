// SPDX-License-Identifier: Apache-2.0
// Sessions and attempts between the contract's form and the store's text, without detours: this is hot.

import type { AttemptId, SessionId } from "@remex/proto/common/v1";

interface WireNumbers {
  readonly epoch: bigint;
  readonly number: bigint;
}

/** "epoch.number", or undefined when it is absent or names none. */
export function textOfRef(ref: WireNumbers | undefined): string | undefined {
  return ref === undefined || ref.number <= 0n ? undefined : `${ref.epoch}.${ref.number}`;
}

function numbersOf(text: string): WireNumbers {
  const dot = text.indexOf(".");
  return { epoch: BigInt(text.slice(0, dot)), number: BigInt(text.slice(dot + 1)) };
}

/** The attempt of a text that the store wrote. */
export function attemptOfText(text: string): AttemptId {
  return { $typeName: "remex.common.v1.AttemptId", ...numbersOf(text) };
}

/** The session of a text that the store wrote. */
export function sessionOfText(text: string): SessionId {
  return { $typeName: "remex.common.v1.SessionId", ...numbersOf(text) };
}
