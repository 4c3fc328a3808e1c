// SPDX-License-Identifier: Apache-2.0
// Runs the remex command as a user does: the real program, its output on two streams, its exit code.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const launcher = fileURLToPath(new URL("../../packages/cli/bin/remex.mjs", import.meta.url));

export interface RemexRun {
  readonly exitCode: number | NodeJS.Signals;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RemexGateway {
  readonly url: string;
  readonly key: string;
}

export interface RemexOptions {
  /** Named by REMEX_URL and REMEX_KEY; absent for a command line that says it all itself. */
  readonly gateway?: RemexGateway;
  readonly env?: Readonly<Record<string, string>>;
  /** Given on standard input. */
  readonly input?: string;
  /** Called as soon as the program runs, for a test that sends signals. */
  readonly onStart?: (child: ChildProcess, stderr: () => string) => void;
}

/** Runs one command to its end. Nothing of this process's environment but the PATH comes along. */
export function runRemex(args: readonly string[], options: RemexOptions = {}): Promise<RemexRun> {
  const { gateway, input, onStart } = options;
  const env = {
    PATH: process.env.PATH ?? "",
    ...(gateway === undefined ? {} : { REMEX_URL: gateway.url, REMEX_KEY: gateway.key }),
    ...options.env,
  };
  const child = spawn(process.execPath, [launcher, ...args], { env, stdio: "pipe" });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  // A program that ends without reading its input is not an error of ours.
  child.stdin.on("error", () => undefined);
  child.stdin.end(input ?? "");
  onStart?.(child, () => stderr);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      // Whatever a command is asked to do, the key that it was given is shown nowhere (SEC-G1).
      if (gateway !== undefined && `${stdout}${stderr}`.includes(gateway.key)) {
        reject(new Error(`the operator key appears in the output of remex ${args.join(" ")}`));
      }
      resolve({ exitCode: signal ?? code ?? 1, stdout, stderr });
    });
  });
}

/** Output without what differs from run to run: instants and ports. */
export function steady(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, "INSTANT")
    .replace(/127\.0\.0\.1:\d+/g, "127.0.0.1:PORT");
}
