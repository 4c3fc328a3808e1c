// SPDX-License-Identifier: Apache-2.0
// What a caller learns when the store did not answer.

/** The store did not answer; `outcome` says whether the call may have had its effect (PROTOCOL D4). */
export class StoreUnavailable extends Error {
  readonly outcome: "not_sent" | "unknown";

  constructor(outcome: "not_sent" | "unknown", what: string, options?: { cause?: unknown }) {
    super(`the store did not answer ${what} (${outcome.replace("_", " ")}); try again`, options);
    this.name = "StoreUnavailable";
    this.outcome = outcome;
  }
}
