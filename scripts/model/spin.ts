// SPDX-License-Identifier: Apache-2.0
// Runs one variant of a model: Spin makes a verifier, gcc compiles it, the verifier searches every state.

import { execFile, execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { stateDir } from "../launch/toolchain.mjs";
import { type Figures, modelDir, type Variant } from "./verdicts.ts";

export interface Outcome {
  /** As in the table, or "unfinished: ..." when the search did not come to an end. */
  readonly verdict: string;
  readonly found: Figures;
}

interface Bounds {
  readonly compile: readonly string[];
  /** Room for visited states, as a power of two. */
  readonly table: number;
  /** Most steps from the beginning; a search that would need more is unfinished. */
  readonly depth: number;
  readonly memoryMb: number;
  readonly limitMs: number;
}

const bounds: Readonly<Record<Variant["size"], Bounds>> = {
  // Compiling costs more than searching where there is little to search.
  small: { compile: ["-O0"], table: 20, depth: 200_000, memoryMb: 1_000, limitMs: 300_000 },
  big: {
    compile: ["-O2", "-DCOLLAPSE"],
    table: 25,
    depth: 2_000_000,
    memoryMb: 6_000,
    limitMs: 600_000,
  },
};

/** Why the models cannot be run here, or undefined when they can. */
export function whatIsMissing(): string | undefined {
  const missing = (["spin", "gcc"] as const).filter((program) => !answers(program));
  if (missing.length === 0) return undefined;
  return `${missing.join(" and ")} is not on this machine (on Debian: apt-get install spin gcc)`;
}

function answers(program: "spin" | "gcc"): boolean {
  try {
    execFileSync(program, [program === "spin" ? "-V" : "--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Searches one variant to the end, to its first error, or to its bounds. */
export async function runVariant(variant: Variant): Promise<Outcome> {
  const dir = mkdtempSync(path.join(tmpdir(), "remex-model-"));
  try {
    const bound = bounds[variant.size];
    const source = path.join(modelDir, `${variant.model}.pml`);
    const flags = variant.flags.split(" ").filter((flag) => flag !== "");
    await run("spin", [...flags, "-a", source], dir, bound.limitMs);
    const liveness = flags.includes("-DLIVENESS");
    const search = liveness ? ["-DNP", "-DNOFAIR"] : ["-DSAFETY", "-DNOFAIR"];
    // There is one process: nothing for a partial order reduction to do.
    const fixed = ["-w", "-DNOREDUCE", `-DMEMLIM=${bound.memoryMb}`];
    const compile = [...bound.compile, ...fixed, ...search, "-o", "pan", "pan.c"];
    await run("gcc", compile, dir, bound.limitMs);
    const startedMs = performance.now();
    const options = [`-m${bound.depth}`, `-w${bound.table}`, ...(liveness ? ["-l"] : [])];
    const output = await run("./pan", options, dir, bound.limitMs);
    keepTrail(variant, dir);
    return readOutcome(output, (performance.now() - startedMs) / 1_000);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Resolves with the output; the verifier ends with another code than zero for some verdicts. */
function run(program: string, args: readonly string[], cwd: string, limitMs: number) {
  return new Promise<string>((resolve, reject) => {
    const settings = { cwd, timeout: limitMs, maxBuffer: 16_000_000 };
    execFile(program, args, settings, (error, stdout, stderr) => {
      const output = `${stdout}${stderr}`;
      if (error !== null && error.killed === true) resolve(`${output}\nstopped: out of time`);
      else if (error !== null && program !== "./pan") reject(new Error(`${program}: ${output}`));
      else resolve(output);
    });
  });
}

/** The way to the error, for `spin -k FILE -t -p MODEL`. */
export const trailFile = ({ model, name }: Variant): string =>
  path.join(stateDir, "model", `${model}-${name}.trail`);

function keepTrail(variant: Variant, dir: string): void {
  const trail = path.join(dir, `${variant.model}.pml.trail`);
  if (!existsSync(trail)) return;
  mkdirSync(path.dirname(trailFile(variant)), { recursive: true });
  copyFileSync(trail, trailFile(variant));
}

/** Reads what the verifier printed. */
export function readOutcome(output: string, seconds: number): Outcome {
  const count = (pattern: RegExp) => Number(pattern.exec(output)?.[1] ?? 0);
  const found = {
    states: count(/(\d+) states, stored/),
    transitions: count(/(\d+) transitions/),
    depth: count(/depth reached (\d+)/),
    seconds: Math.round(seconds * 10) / 10,
  };
  return { verdict: verdictOf(output), found };
}

function verdictOf(output: string): string {
  const broken = /assertion violated (.*) \(at depth/.exec(output)?.[1];
  // Each assertion of the models carries the number of its invariant, as `condition || I4 == 0`.
  if (broken !== undefined) {
    const number = /\((\d+)==0\)+$/.exec(broken)?.[1];
    return number === undefined ? `breaks ${broken}` : nameOf(Number(number));
  }
  // Stuck with work left, or busy for ever without getting anywhere.
  if (/pan:\d+: (invalid end state|non-progress cycle)/.test(output)) return "I14";
  if (/errors: 0/.test(output) && !/Search not completed|out of time/.test(output)) return "passes";
  const why = /out of time|out of memory|max search depth too small/.exec(output)?.[0];
  return `unfinished: ${why ?? output.slice(-300)}`;
}

const witness = 99;
const nameOf = (number: number): string => (number === witness ? "reached" : `I${number}`);
