// SPDX-License-Identifier: Apache-2.0
// Calls of attempts that wait for the control plane's return: in order, synced to disk before they count (E1).

import { type FileHandle, open, unlink } from "node:fs/promises";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { formatRef, type NumberedRef, parseRef } from "@remex/domain";

/** A call that is kept. Its headers hold the attempt's credential: the files are for the own user alone. */
export interface KeptCall {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly body: Buffer;
}

/** The attempt that made a call. */
export interface CallerName {
  readonly task: string;
  readonly attempt: NumberedRef;
}

interface Page {
  readonly name: CallerName;
  /** Files, oldest first; what is appended goes to the last one. */
  readonly paths: string[];
  readonly calls: KeptCall[];
  /** Appends run one after the other. */
  writing: Promise<void>;
}

/** Largest body of one call, and of all that wait, in bytes: they are held in memory too. */
export const mostKeptBytes = 16 * 1024 * 1024;
const mostBytes = 128 * 1024 * 1024;

/** A file, seldom more, per attempt under the state directory's `calls`; a line per call. */
export class CallBook {
  readonly #folder: string;
  readonly #pages = new Map<string, Page>();
  #bytes = 0;
  /** Files are never named twice: one that is being removed may meet calls that come later. */
  #files = 0;

  constructor(stateDir: string) {
    this.#folder = join(stateDir, "calls");
  }

  /** Reads what an older process of this agent kept; gives whose calls they are. */
  load(): CallerName[] {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const files = readdirSync(this.#folder).flatMap((file) => parseFileName(file) ?? []);
    for (const { file, name, number } of files.sort((a, b) => a.number - b.number)) {
      this.#files = Math.max(this.#files, number);
      const path = join(this.#folder, file);
      const page = this.#page(name, path);
      if (page.paths.at(-1) !== path) page.paths.push(path);
      for (const line of readFileSync(path, "utf8").split("\n").slice(0, -1)) {
        const call = parseCall(line);
        page.calls.push(call);
        this.#bytes += call.body.length;
      }
    }
    return [...this.#pages.values()].map(({ name }) => name);
  }

  /** True while calls of the attempt wait. */
  has(name: CallerName): boolean {
    return this.#pages.has(keyOf(name));
  }

  /** Keeps a call; resolves when it is on disk, to false when there is no room for it. */
  async append(name: CallerName, call: KeptCall): Promise<boolean> {
    if (this.#bytes + call.body.length > mostBytes) return false;
    this.#bytes += call.body.length;
    const page = this.#page(name);
    page.calls.push(call);
    const path = page.paths.at(-1) ?? "";
    const written = page.writing.then(() => appendLine(path, call));
    // A disk that refuses is told to this caller alone; the next append tries again.
    page.writing = written.catch(() => undefined);
    await written;
    return true;
  }

  /** The oldest call that waits. */
  oldest(name: CallerName): KeptCall | undefined {
    return this.#pages.get(keyOf(name))?.calls[0];
  }

  /**
   * The oldest call was dealt with. Only in memory: after a crash calls may be sent twice, as Airflow's own
   * client sends them again when it had no answer.
   */
  drop(name: CallerName): void {
    const call = this.#pages.get(keyOf(name))?.calls.shift();
    if (call !== undefined) this.#bytes -= call.body.length;
  }

  /** Forgets everything that is left of an attempt; gives how many calls that were. */
  async remove(name: CallerName): Promise<number> {
    const key = keyOf(name);
    const page = this.#pages.get(key);
    if (page === undefined) return 0;
    const left = page.calls.length;
    while (page.calls.length > 0) this.drop(name);
    this.#pages.delete(key);
    await page.writing;
    for (const path of page.paths) await unlink(path).catch(() => undefined);
    return left;
  }

  #page(name: CallerName, path = this.#newPath(name)): Page {
    const key = keyOf(name);
    let page = this.#pages.get(key);
    if (page === undefined) {
      page = { name, paths: [path], calls: [], writing: Promise.resolve() };
      this.#pages.set(key, page);
    }
    return page;
  }

  #newPath({ task, attempt }: CallerName): string {
    this.#files += 1;
    const file = `${encodeURIComponent(task)}@${formatRef(attempt)}@${this.#files}.jsonl`;
    return join(this.#folder, file);
  }
}

function keyOf({ task, attempt }: CallerName): string {
  return `${task}/${formatRef(attempt)}`;
}

function parseFileName(file: string) {
  const match = /^([^@]+)@(\d+\.\d+)@(\d+)\.jsonl$/.exec(file);
  const attempt = parseRef(match?.[2] ?? "");
  if (match === null || attempt === undefined) return undefined;
  const task = decodeURIComponent(match[1] ?? "");
  return { file, name: { task, attempt }, number: Number(match[3]) };
}

function parseCall(line: string): KeptCall {
  const { body, ...call } = JSON.parse(line) as Omit<KeptCall, "body"> & { body: string };
  return { ...call, body: Buffer.from(body, "base64") };
}

async function appendLine(path: string, call: KeptCall): Promise<void> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "a", 0o600);
    await file.write(`${JSON.stringify({ ...call, body: call.body.toString("base64") })}\n`);
    await file.datasync();
  } finally {
    await file?.close();
  }
}
