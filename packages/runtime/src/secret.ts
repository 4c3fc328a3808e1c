// SPDX-License-Identifier: Apache-2.0
// A value that must not be shown: it prints as [secret] wherever it ends up (SEC-G1).

import { inspect } from "node:util";

const shown = "[secret]";

/** Holds a secret text. Only `reveal` gives it out; printing, JSON and inspection show "[secret]". */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself: for the one place that needs it, never for a log. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return shown;
  }

  toJSON(): string {
    return shown;
  }

  [inspect.custom](): string {
    return shown;
  }
}

// Agent tokens and operator keys as SEC-T1 writes them; a cut-off one is hidden too.
const credentialPattern = /\brm[xk]_[A-Za-z0-9]{8}_[A-Za-z0-9]+/g;

/** Hides every agent token and operator key in a text: the backstop behind `Secret`. */
export function hideCredentials(text: string): string {
  return text.includes("rmx_") || text.includes("rmk_")
    ? text.replace(credentialPattern, shown)
    : text;
}
