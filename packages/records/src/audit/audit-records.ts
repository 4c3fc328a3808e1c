// SPDX-License-Identifier: Apache-2.0
// The audit: entries are added to the end of a hash chain and never changed.

import type { Kysely, Selectable } from "kysely";
import type { Tables } from "../engine/tables.ts";
import { type AuditEntryContent, type AuditEntryRecord, decideAuditHash } from "./audit-chain.ts";

export interface AuditPageRequest {
  /** Slug wanted; empty for all. */
  readonly deployment: string;
  readonly pageSize: number;
  /** Entries before this number; undefined for the newest. */
  readonly beforeNumber?: number;
}

export interface AuditRecords {
  /** Adds entries in order; one whose id is there already is passed over. Durable when it returns. */
  append(entries: readonly AuditEntryContent[]): Promise<void>;
  /** Newest first. */
  list(request: AuditPageRequest): Promise<AuditEntryRecord[]>;
}

export function createAuditRecords(db: Kysely<Tables>): AuditRecords {
  return {
    append: (entries) => appendEntries(db, entries),
    list: async (request) => {
      let query = db
        .selectFrom("audit_entries")
        .selectAll()
        .orderBy("number", "desc")
        .limit(request.pageSize);
      if (request.deployment !== "") {
        query = query.where("deployment", "=", request.deployment);
      }
      if (request.beforeNumber !== undefined) {
        query = query.where("number", "<", request.beforeNumber);
      }
      const rows = await query.execute();
      return rows.map(toRecord);
    },
  };
}

async function appendEntries(
  db: Kysely<Tables>,
  entries: readonly AuditEntryContent[],
): Promise<void> {
  if (entries.length === 0) {
    return;
  }
  await db.transaction().execute(async (transaction) => {
    // Writing the head locks it: writers of the chain come one after the other on both engines.
    let head = await transaction
      .updateTable("audit_heads")
      .set((expression) => ({ number: expression.ref("number") }))
      .returning(["number", "hash"])
      .executeTakeFirstOrThrow();
    for (const content of entries) {
      const number = head.number + 1;
      const hash = decideAuditHash(head.hash, number, content);
      const added = await transaction
        .insertInto("audit_entries")
        .values({
          number,
          entry: content.entry,
          at_ms: content.atMs,
          actor: content.actor,
          address: content.address,
          action: content.action,
          deployment: content.deployment,
          subject: content.subject,
          result: content.result,
          detail_json: content.detailJson,
          hash,
        })
        .onConflict((conflict) => conflict.column("entry").doNothing())
        .returning("number")
        .executeTakeFirst();
      if (added !== undefined) {
        head = { number, hash };
      }
    }
    await transaction.updateTable("audit_heads").set(head).execute();
  });
}

function toRecord(row: Selectable<Tables["audit_entries"]>): AuditEntryRecord {
  return {
    number: row.number,
    entry: row.entry,
    atMs: row.at_ms,
    actor: row.actor,
    address: row.address,
    action: row.action,
    deployment: row.deployment,
    subject: row.subject,
    result: row.result,
    detailJson: row.detail_json,
    hash: row.hash,
  };
}
