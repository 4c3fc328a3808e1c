// SPDX-License-Identifier: Apache-2.0
// Texts for people in requests: bounded, on one line, without control characters.

import { remexError } from "@remex/domain";

const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]*$/u;

/** Reads a text of at most `most` characters; `field` names it in the refusal. */
export function parsePrintable(field: string, text: string, most: number): string {
  if ([...text].length > most || !printable.test(text)) {
    const problem = `it must have at most ${most} printable characters, on one line`;
    throw remexError("argument_invalid", { field, problem });
  }
  return text;
}
