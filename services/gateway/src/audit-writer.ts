// SPDX-License-Identifier: Apache-2.0
// Writes audit entries in batches to the chain, and keeps those that could not be written for later.

import type { AuditEntryContent, Records } from "@remex/records";
import type { CancelTimer, Clock, Logger } from "@remex/runtime";

export interface AuditWriter {
  /** Settles when the entry is durable, or when waiting for it any longer would hold up the call. */
  write(entry: AuditEntryContent): Promise<void>;
  /** Tries once more to write what is left, and stops. */
  stop(): Promise<void>;
  /** Entries that wait to be written. */
  waiting(): number;
}

export interface AuditWriterDeps {
  readonly records: Pick<Records, "audit">;
  readonly clock: Clock;
  readonly log: Logger;
}

const tryAgainMs = 1_000;
/** A call has done its work already: it is not failed for the audit's sake. */
const callWaitsMs = 2_000;
const mostPerWrite = 500;

interface Waiting {
  readonly entry: AuditEntryContent;
  readonly written: () => void;
}

export function createAuditWriter(deps: AuditWriterDeps): AuditWriter {
  const queue: Waiting[] = [];
  let writing = false;
  let cancelRetry: CancelTimer | undefined;

  const writeAll = async (): Promise<void> => {
    if (writing) return;
    writing = true;
    try {
      while (queue.length > 0) {
        const batch = queue.slice(0, mostPerWrite);
        await deps.records.audit.append(batch.map(({ entry }) => entry));
        queue.splice(0, batch.length);
        for (const { written } of batch) written();
      }
    } catch (err) {
      deps.log.error({ err, waiting: queue.length }, "audit entries cannot be written yet");
      cancelRetry = deps.clock.after(tryAgainMs, () => void writeAll());
    } finally {
      writing = false;
    }
  };

  return {
    write: (entry) =>
      new Promise((resolve) => {
        const cancel = deps.clock.after(callWaitsMs, resolve);
        const written = (): void => {
          cancel();
          resolve();
        };
        queue.push({ entry, written });
        // What arrives in the same turn of the event loop is one write.
        if (queue.length === 1) setImmediate(() => void writeAll());
      }),
    stop: async () => {
      cancelRetry?.();
      await writeAll();
      cancelRetry?.();
    },
    waiting: () => queue.length,
  };
}
