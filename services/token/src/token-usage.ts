// SPDX-License-Identifier: Apache-2.0
// Remembers when tokens were last used and writes it to the records in batches, off the hot path.

import type { Records } from "@remex/records";
import type { CancelTimer, Clock, Logger } from "@remex/runtime";

export interface TokenUsage {
  /** Notes a use; nothing is written now. */
  note(token: string, address: string): void;
  start(): void;
  /** Writes what is noted and stops. */
  stop(): Promise<void>;
}

const writeEveryMs = 10_000;
const minuteMs = 60_000;

export interface TokenUsageDeps {
  readonly records: Pick<Records, "agentTokens">;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createTokenUsage(deps: TokenUsageDeps): TokenUsage {
  const noted = new Map<string, { readonly atMs: number; readonly address: string }>();
  let cancel: CancelTimer | undefined;

  const write = async (): Promise<void> => {
    const uses = [...noted].map(([token, use]) => ({ token, ...use }));
    noted.clear();
    try {
      await deps.records.agentTokens.recordUse(uses);
    } catch (err) {
      // Shown to people only; the next use of the token notes it again.
      deps.log.warn({ err }, "last use of tokens cannot be written");
    }
  };

  return {
    note: (token, address) => {
      const atMs = Math.floor(deps.clock.wallMs() / minuteMs) * minuteMs;
      if (noted.get(token)?.atMs !== atMs) noted.set(token, { atMs, address });
    },
    start: () => {
      cancel ??= deps.clock.every(writeEveryMs, () => void write());
    },
    stop: async () => {
      cancel?.();
      cancel = undefined;
      await write();
    },
  };
}
