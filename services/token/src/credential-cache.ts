// SPDX-License-Identifier: Apache-2.0
// Records of credentials kept for a few seconds, so that verification goes on while the records store is away.

/** Longest time that a record is trusted without being read again (SEC-T3). */
export const cacheLifeMs = 10_000;

/** Beyond this many the oldest is dropped. */
const mostEntries = 10_000;

export interface CredentialCache<Entry> {
  /** The entry of a public id, from memory or from the store; undefined when there is none. */
  load(publicId: string): Promise<Entry | undefined>;
  /** Drops an entry, because its credential has changed. */
  forget(publicId: string): void;
}

/** Unknown ids are not kept: they cost a read each, and no memory. */
export function createCredentialCache<Entry>(
  nowMs: () => number,
  read: (publicId: string) => Promise<Entry | undefined>,
): CredentialCache<Entry> {
  const entries = new Map<string, { readonly entry: Entry; readonly readAtMs: number }>();
  let forgotten = 0;

  /** A record that was being read while one was dropped may be the one before the change. */
  const readUndisturbed = async (publicId: string): Promise<Entry | undefined> => {
    for (;;) {
      const before = forgotten;
      const entry = await read(publicId);
      if (before === forgotten) return entry;
    }
  };

  return {
    load: async (publicId) => {
      const kept = entries.get(publicId);
      if (kept !== undefined && nowMs() - kept.readAtMs < cacheLifeMs) {
        return kept.entry;
      }
      entries.delete(publicId);
      const readAtMs = nowMs();
      const entry = await readUndisturbed(publicId);
      if (entry !== undefined) {
        entries.set(publicId, { entry, readAtMs });
        dropOldest(entries);
      }
      return entry;
    },
    forget: (publicId) => {
      forgotten += 1;
      entries.delete(publicId);
    },
  };
}

function dropOldest(entries: Map<string, unknown>): void {
  for (const publicId of entries.keys()) {
    if (entries.size <= mostEntries) {
      return;
    }
    entries.delete(publicId);
  }
}
