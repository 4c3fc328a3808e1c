// SPDX-License-Identifier: Apache-2.0
// Which peppers the credentials of this store were hashed with: fingerprints by version, never a pepper.

import type { Kysely } from "kysely";
import type { Tables } from "../engine/tables.ts";

export interface PepperRecords {
  /**
   * Answers the fingerprints that the store knows. Those that it does not know yet are noted first, if
   * all that it knows are among the ones given: peppers of another installation are not taken in.
   */
  note(fingerprints: ReadonlyMap<number, string>): Promise<ReadonlyMap<number, string>>;
}

export function createPepperRecords(db: Kysely<Tables>): PepperRecords {
  return {
    note: (fingerprints) =>
      db.transaction().execute(async (transaction) => {
        const rows = await transaction.selectFrom("pepper_fingerprints").selectAll().execute();
        const known = new Map(rows.map((row) => [row.version, row.fingerprint]));
        if (rows.some((row) => fingerprints.get(row.version) !== row.fingerprint)) return known;
        for (const [version, fingerprint] of fingerprints) {
          if (known.has(version)) continue;
          await transaction
            .insertInto("pepper_fingerprints")
            .values({ version, fingerprint })
            .onConflict((conflict) => conflict.column("version").doNothing())
            .execute();
          known.set(version, fingerprint);
        }
        return known;
      }),
  };
}
