// SPDX-License-Identifier: Apache-2.0
// Refusals of callers who are not known, for the audit: each at once the first time, then counted by the minute.

import { randomUUID } from "node:crypto";
import type { AuditEntryContent } from "@remex/records";
import type { CancelTimer, Clock } from "@remex/runtime";

export interface DenialAudit {
  /** Writes the entry of the first refusal of its kind in a minute, and counts the others. */
  note(entry: AuditEntryContent): Promise<void>;
  /** Writes what is counted. */
  stop(): void;
}

export interface DenialAuditDeps {
  write(entry: AuditEntryContent): Promise<void>;
  readonly clock: Clock;
}

const countForMs = 60_000;
/** Beyond this many kinds at once, further ones are counted together. */
const mostKinds = 1_000;

interface Counted {
  readonly first: AuditEntryContent;
  further: number;
  readonly cancel: CancelTimer;
}

/**
 * Anybody who reaches the port can be refused as often as he likes: an entry for each would let him fill
 * the records (SEC-B4).
 */
export function createDenialAudit(deps: DenialAuditDeps): DenialAudit {
  const kinds = new Map<string, Counted>();

  const close = (kind: string): void => {
    const counted = kinds.get(kind);
    kinds.delete(kind);
    counted?.cancel();
    if (counted === undefined || counted.further === 0) return;
    const { first, further } = counted;
    const detailJson = JSON.stringify({ further });
    const atMs = deps.clock.wallMs();
    void deps.write({ ...first, entry: randomUUID(), atMs, detailJson });
  };

  return {
    note: async (entry) => {
      const own = `${entry.action} ${entry.result} ${entry.address}`;
      const kind = kinds.has(own) || kinds.size < mostKinds ? own : "others";
      const counted = kinds.get(kind);
      if (counted !== undefined) {
        counted.further += 1;
        return;
      }
      const first = kind === own ? entry : { ...entry, address: "", subject: "several" };
      const cancel = deps.clock.after(countForMs, () => close(kind));
      kinds.set(kind, { first, further: 0, cancel });
      await deps.write(first);
    },
    stop: () => {
      for (const kind of [...kinds.keys()]) close(kind);
    },
  };
}
