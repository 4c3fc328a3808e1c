// SPDX-License-Identifier: Apache-2.0
// The embedded engine: a Kysely dialect on node:sqlite that serves several processes of one host.

import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";

/** Longest time that a statement waits for another process that is writing. */
const busyTimeoutMs = 10_000;

const sqliteBusy = 5;

/**
 * Creates the dialect for one file. Every transaction begins as a writer (`begin immediate`), so that
 * two of them can never both read first and then fail to upgrade; it is also what makes a read and a
 * write of one transaction a decision that no other process can get between.
 */
export function createSqliteDialect(path: string): Dialect {
  return {
    createAdapter: () => new FileAdapter(),
    createDriver: () => new FileDriver(path),
    createIntrospector: (db: Kysely<unknown>) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

/** SQLite rolls table changes back like any other, which Kysely's own adapter leaves unused. */
class FileAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class FileDriver implements Driver {
  readonly #path: string;
  #connection: FileConnection | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async init(): Promise<void> {
    // The busy handler of SQLite would block the event loop, and with it a transaction of another
    // handle in this process that holds the lock: waiting is done here instead, between attempts.
    const database = new DatabaseSync(this.#path, {
      timeout: 0,
      enableForeignKeyConstraints: true,
    });
    this.#connection = new FileConnection(database);
    await this.#connection.executeQuery(CompiledQuery.raw("pragma journal_mode = wal"));
    // A commit is on disk before it is answered: tokens and audit must survive a power cut.
    await this.#connection.executeQuery(CompiledQuery.raw("pragma synchronous = full"));
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#connection === undefined) {
      throw new Error("the records store is used before it was opened");
    }
    return this.#connection;
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("begin immediate"));
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("commit"));
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("rollback"));
  }

  async releaseConnection(): Promise<void> {
    // The one connection lives as long as the handle.
  }

  async destroy(): Promise<void> {
    this.#connection?.close();
  }
}

class FileConnection implements DatabaseConnection {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  close(): void {
    this.#database.close();
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const deadlineMs = performance.now() + busyTimeoutMs;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return this.#execute<R>(query);
      } catch (error) {
        if (!isBusy(error) || performance.now() > deadlineMs) {
          throw error;
        }
        await delay(1 + Math.random() * Math.min(20, 2 * (attempt + 1)));
      }
    }
  }

  // biome-ignore lint/correctness/useYield: the interface asks for a generator; nothing here streams.
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error("the embedded records engine does not stream results");
  }

  #execute<R>(query: CompiledQuery): QueryResult<R> {
    const statement = this.#database.prepare(query.sql);
    const parameters = query.parameters as SQLInputValue[];
    if (statement.columns().length > 0) {
      return { rows: statement.all(...parameters) as R[] };
    }
    const { changes, lastInsertRowid } = statement.run(...parameters);
    return {
      rows: [],
      numAffectedRows: BigInt(changes),
      insertId: BigInt(lastInsertRowid),
    };
  }
}

function isBusy(error: unknown): boolean {
  // The low byte is the primary code; SQLITE_BUSY_SNAPSHOT and its kin share it.
  return (
    error instanceof Error &&
    "errcode" in error &&
    typeof error.errcode === "number" &&
    (error.errcode & 0xff) === sqliteBusy
  );
}
