// SPDX-License-Identifier: Apache-2.0
// Which server a connection leads to, as its INFO says: by it a restart, a restore or a failover is noticed.

/** Identity of one life of a Redis server. */
export interface ServerIdentity {
  /** New with every start of the server. */
  readonly runId: string;
  /** New with every promotion. */
  readonly replId: string;
  /** True when the server was promoted from a replica in this life. */
  readonly promoted: boolean;
  /** "master" can be used; "slave" waits for its promotion. */
  readonly role: string;
}

/** Reads the text of INFO (sections server and replication). Pure. */
export function readServerIdentity(info: string): ServerIdentity {
  const field = (name: string): string =>
    new RegExp(`^${name}:([^\\r\\n]*)`, "m").exec(info)?.[1] ?? "";
  return {
    runId: field("run_id"),
    replId: field("master_replid"),
    // The id of the primary that it followed before; zeros when it never followed one.
    promoted: /[1-9a-f]/.test(field("master_replid2")),
    role: field("role") || "master",
  };
}
