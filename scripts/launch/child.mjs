// SPDX-License-Identifier: Apache-2.0
// Starts other programs for the launchers: with kept output for quiet steps, or handing over the terminal.

import { spawn } from "node:child_process";

const keptOutputChars = 8_000;

/** @type {Set<import("node:child_process").ChildProcess>} */
const quietChildren = new Set();
// A launcher that is stopped in the middle of a step takes the step's program with it.
process.once("exit", () => {
  for (const child of quietChildren) child.kill("SIGTERM");
});

/** The environment without what npm adds for its own scripts, which would steer an npm started below it. */
export function cleanEnvironment() {
  const env = { ...process.env };
  for (const name of Object.keys(env)) {
    const lower = name.toLowerCase();
    if (/^npm_(package|lifecycle|command)/.test(lower) || lower === "npm_config_local_prefix") {
      delete env[name];
    }
  }
  return env;
}

/**
 * Runs a program quietly and resolves with its exit code, all that it wrote to standard output, and the
 * end of everything that it wrote.
 * @param {string} command @param {string[]} args @param {{cwd?: string, env?: NodeJS.ProcessEnv}} options
 * @returns {Promise<{code: number, stdout: string, output: string}>}
 */
export function runQuietly(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let output = "";
    const keep = (/** @type {string} */ text) => {
      output = (output + text).slice(-keptOutputChars);
    };
    child.stdout.setEncoding("utf8").on("data", (/** @type {string} */ text) => {
      stdout += text;
      keep(text);
    });
    child.stderr.setEncoding("utf8").on("data", keep);
    quietChildren.add(child);
    child.on("error", (error) => {
      quietChildren.delete(child);
      reject(error);
    });
    child.on("close", (code) => {
      quietChildren.delete(child);
      resolve({ code: code ?? 1, stdout, output });
    });
  });
}

/**
 * Hands the terminal to a program and resolves with its exit code. Signals reach the program's own
 * handlers: Ctrl-C goes to the whole foreground group, and a signal sent to this process is passed on.
 * @param {string} command @param {string[]} args @param {{cwd?: string, env?: NodeJS.ProcessEnv}} options
 * @returns {Promise<number>}
 */
export function handOver(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: "inherit" });
    // The program has received Ctrl-C from the terminal already; this process only has to outlive it.
    process.on("SIGINT", () => {});
    process.on("SIGTERM", () => child.kill("SIGTERM"));
    process.on("SIGHUP", () => child.kill("SIGHUP"));
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(signal === null ? (code ?? 1) : 128));
  });
}
