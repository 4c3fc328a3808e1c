// SPDX-License-Identifier: Apache-2.0
// Stands for node:fs under a simulated agent and runner: the disk of the machine that the process runs on.

import { theProcess } from "../engine/globals.ts";
import { type Machine, machineOf, type SimFile } from "./machine.ts";

export const constants = { X_OK: 1, R_OK: 4, W_OK: 2, F_OK: 0 } as const;

/** How long a sync takes. */
const syncMs: readonly [number, number] = [0.2, 4];

function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

function machine(): Machine {
  return machineOf(theProcess());
}

function fileAt(path: string): SimFile {
  const file = machine().files.get(path);
  if (file === undefined) throw failure("ENOENT", path);
  return file;
}

function newFile(path: string): SimFile {
  const file = { data: Buffer.alloc(0), synced: Buffer.alloc(0), modifiedAtMs: Date.now() };
  machine().files.set(path, file);
  return file;
}

export function openSync(path: string, flags = "r"): number {
  const { files } = machine();
  let file = files.get(path);
  if (flags === "r" && file === undefined) throw failure("ENOENT", path);
  if (file === undefined) file = newFile(path);
  if (flags.startsWith("w")) file.data = Buffer.alloc(0);
  return machine().open(path, theProcess(), file);
}

export function closeSync(descriptor: number): void {
  machine().close(descriptor, theProcess());
}

function openFile(descriptor: number): SimFile {
  const opened = machine().descriptors.get(descriptor);
  if (opened === undefined) throw failure("EBADF", String(descriptor));
  return opened.file;
}

export function writeSync(descriptor: number, bytes: Uint8Array | string, offset = 0): number {
  const file = openFile(descriptor);
  const written = typeof bytes === "string" ? Buffer.from(bytes) : bytes.subarray(offset);
  file.data = Buffer.concat([file.data, written]);
  file.modifiedAtMs = Date.now();
  return written.length;
}

export function fdatasyncSync(descriptor: number): void {
  const file = openFile(descriptor);
  file.synced = Buffer.from(file.data);
}

export const fsyncSync = fdatasyncSync;

export function fdatasync(descriptor: number, done: (error: Error | null) => void): void {
  const process = theProcess();
  const file = openFile(descriptor);
  const covered = file.data;
  process.world.after(process.random.between(syncMs[0], syncMs[1]), process, "synced", () => {
    if (covered.length > file.synced.length) file.synced = Buffer.from(covered);
    done(null);
  });
}

export function readFileSync(path: string, encoding?: string): string | Buffer {
  const environ = /^\/proc\/(\d+)\/environ$/.exec(path);
  if (environ !== null) {
    const entry = machine().table.get(Number(environ[1]));
    if (entry === undefined) throw failure("ENOENT", path);
    return Object.entries(entry.environment)
      .map(([name, value]) => `${name}=${value}\0`)
      .join("");
  }
  const { data } = fileAt(path);
  return encoding === undefined ? Buffer.from(data) : data.toString("utf8");
}

export function writeFileSync(path: string, data: string | Uint8Array): void {
  const file = machine().files.get(path) ?? newFile(path);
  file.data = Buffer.from(data);
}

export function renameSync(from: string, to: string): void {
  machine().files.set(to, fileAt(from));
  machine().files.delete(from);
}

export function truncateSync(path: string, bytes = 0): void {
  const file = fileAt(path);
  file.data = file.data.subarray(0, bytes);
}

export function rmSync(path: string): void {
  const { files, sockets } = machine();
  files.delete(path);
  sockets.delete(path);
  for (const name of [...files.keys()]) if (name.startsWith(`${path}/`)) files.delete(name);
}

export const unlinkSync = rmSync;

export function readdirSync(path: string): string[] {
  if (path === "/proc") return [...machine().table.keys()].map(String);
  const names = new Set<string>();
  for (const name of machine().files.keys()) {
    if (name.startsWith(`${path}/`)) names.add(name.slice(path.length + 1).split("/")[0] ?? "");
  }
  return [...names];
}

export function existsSync(path: string): boolean {
  return machine().files.has(path) || machine().sockets.has(path);
}

export function statSync(path: string) {
  const file = machine().files.get(path);
  const modifiedAtMs = file?.modifiedAtMs ?? Date.now();
  return {
    mtimeMs: modifiedAtMs,
    size: file?.data.length ?? 0,
    isDirectory: () => file === undefined,
    isFIFO: () => false,
    isSocket: () => false,
  };
}

export const fstatSync = statSync;
export const realpathSync = (path: string): string => path;
export const chmodSync = (): void => undefined;
export const accessSync = (): void => undefined;
export const mkdirSync = (): void => undefined;
export const mkdtempSync = (prefix: string): string =>
  `${prefix}${theProcess().random.int(1, 1e9)}`;
