// SPDX-License-Identifier: Apache-2.0
// The runner's journal on disk: appended per turn, outcomes synced in groups, compacted when it grew.

import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import type { JournalEntryJson } from "@remex/proto/runner/v1";
import { Pacer } from "@remex/runtime";
import { applyRecord, attemptKey, type JournalRecord, replayJournal } from "./journal-record.ts";

/** A file smaller than this is never worth compacting. */
const smallestCompactionBytes = 4 * 1024 * 1024;

/**
 * Syncs that follow each other faster are joined, and with them everything that goes round between two
 * of them: results, their answers, the offers that these make room for. It costs a busy runner a few
 * milliseconds per task and saves it, the agent and the control plane most of their wake-ups.
 */
const paceMs = 4;

export interface JournalOptions {
  readonly path: string;
  /** Called when the disk refuses a write or a sync: nothing can be promised from then on. */
  readonly onBroken: (error: Error) => void;
  readonly compactionBytes?: number;
}

/**
 * Attempts that were started and attempts whose outcome nobody has answered yet.
 *
 * `note` writes a line at once, unsynced; `commit` calls back when everything noted so far is on disk.
 * Syncs run one after the other and each covers all lines noted before it began (group commit), so a
 * thousand outcomes of one turn cost one sync.
 */
export class Journal {
  readonly #options: JournalOptions;
  readonly #live: Map<string, JournalEntryJson>;
  #file: number;
  #bytes: number;
  #unwritten = "";
  #waiting: (() => void)[] = [];
  #syncing = false;
  #closed = false;
  readonly #pacer = new Pacer(paceMs, () => this.#sync());

  constructor(options: JournalOptions) {
    this.#options = options;
    const text = readJournal(options.path);
    const replayed = replayJournal(text);
    this.#live = replayed.live;
    this.#bytes = Buffer.byteLength(text);
    if (replayed.torn) this.#bytes = dropTornLine(options.path, text);
    this.#file = openSync(options.path, "a", 0o600);
  }

  /** What the journal holds: running attempts, and ended ones that wait for their answer. */
  entries(): JournalEntryJson[] {
    return [...this.#live.values()];
  }

  /** True while a sync runs or is due: somebody will be called back soon. */
  get syncing(): boolean {
    return this.#syncing || this.#waiting.length > 0;
  }

  /** Takes a record; it is written by the next `write`, `commit` or `close`. */
  note(record: JournalRecord): void {
    if (record.record === "forgotten" && !this.#live.has(attemptKey(record.name))) return;
    applyRecord(this.#live, record);
    this.#unwritten += `${JSON.stringify(record)}\n`;
  }

  /** Hands what was noted to the kernel, so that it outlives this process. */
  write(): void {
    if (this.#unwritten === "" || this.#closed) return;
    const lines = Buffer.from(this.#unwritten, "utf8");
    this.#unwritten = "";
    try {
      writeWhole(this.#file, lines);
      this.#bytes += lines.length;
    } catch (error) {
      this.#options.onBroken(error as Error);
    }
  }

  /** Writes and syncs everything noted so far before it returns: for the start, when nobody waits. */
  sync(): void {
    this.write();
    fdatasyncSync(this.#file);
  }

  /** Calls back once everything noted so far is on disk. */
  commit(durable: () => void): void {
    this.#waiting.push(durable);
    if (!this.#syncing) this.#pacer.request();
  }

  #sync(): void {
    if (this.#closed || this.#syncing) return;
    this.write();
    const covered = this.#waiting;
    this.#waiting = [];
    this.#syncing = true;
    fdatasync(this.#file, (error) => {
      this.#syncing = false;
      if (this.#closed) return;
      if (error !== null) {
        this.#options.onBroken(error);
        return;
      }
      for (const durable of covered) durable();
      if (this.#bytes > (this.#options.compactionBytes ?? smallestCompactionBytes)) this.#compact();
      if (this.#waiting.length > 0) this.#pacer.request();
    });
  }

  /** Writes what is live into a new file and puts it in the old one's place; both survive a crash whole. */
  #compact(): void {
    const lines = this.entries().map(compactLine).join("");
    if (Buffer.byteLength(lines) * 2 > this.#bytes) return;
    const next = `${this.#options.path}.next`;
    try {
      const file = openSync(next, "w", 0o600);
      writeWhole(file, Buffer.from(lines, "utf8"));
      fdatasyncSync(file);
      renameSync(next, this.#options.path);
      syncFolder(dirname(this.#options.path));
      closeSync(this.#file);
      this.#file = file;
      this.#bytes = Buffer.byteLength(lines);
      // What was noted and not written yet is part of the entries, and thus of the new file.
      this.#unwritten = "";
    } catch (error) {
      this.#options.onBroken(error as Error);
    }
  }

  /** Writes and syncs everything, calls back whoever waits, and closes the file. */
  close(): void {
    if (this.#closed) return;
    this.#pacer.written();
    this.write();
    fdatasyncSync(this.#file);
    this.#closed = true;
    closeSync(this.#file);
    const covered = this.#waiting;
    this.#waiting = [];
    for (const durable of covered) durable();
  }
}

function compactLine(entry: JournalEntryJson): string {
  const record = entry.outcome === undefined ? "started" : "done";
  return `${JSON.stringify({ record, entry })}\n`;
}

function readJournal(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

function dropTornLine(path: string, text: string): number {
  const whole = Buffer.byteLength(text.slice(0, text.lastIndexOf("\n") + 1));
  truncateSync(path, whole);
  return whole;
}

function writeWhole(file: number, bytes: Buffer): void {
  for (let offset = 0; offset < bytes.length; ) {
    offset += writeSync(file, bytes, offset);
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
