// SPDX-License-Identifier: Apache-2.0
// The random identity of this records store, which Redis remembers so that no other store is paired with it.

import type { Kysely } from "kysely";
import type { Tables } from "../engine/tables.ts";

export interface StoreIdRecords {
  /** Reads the id; `proposed` becomes it when the store has none yet. */
  loadOrCreate(proposed: string, nowMs: number): Promise<string>;
}

export function createStoreIdRecords(db: Kysely<Tables>): StoreIdRecords {
  return {
    loadOrCreate: async (proposed, nowMs) => {
      await db
        .insertInto("store_ids")
        .values({ id: 1, store_id: proposed, created_at_ms: nowMs })
        .onConflict((conflict) => conflict.column("id").doNothing())
        .execute();
      const row = await db
        .selectFrom("store_ids")
        .select("store_id")
        .where("id", "=", 1)
        .executeTakeFirstOrThrow();
      return row.store_id;
    },
  };
}
