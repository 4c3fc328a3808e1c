// SPDX-License-Identifier: Apache-2.0
// `remex serve`: reads the configuration, starts the control plane, and ends with it.

import { createLogger, createShutdown, readConfig, runProcess } from "@remex/runtime";
import { serviceRoles } from "@remex/transport";
import { startControlPlane } from "./control-plane.ts";
import { findServeProblems, type ServeConfig, serveSettings } from "./settings.ts";

export interface ServeProcess {
  /** The words after the program's name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Name of the program in its help. */
  readonly name: string;
}

const exitOk = 0;
const exitFailed = 1;
const exitUsage = 2;

const description =
  "Starts the control plane of Remex, or some of its roles, as one process. " +
  "Settings are taken from options first, then from the environment, then from --config.";

/** Runs until a signal; answers an exit code when it does not come to run. */
export async function serve(own: ServeProcess): Promise<number | undefined> {
  const outcome = readConfig({ name: own.name, description }, serveSettings, own);
  if (outcome.kind === "help") {
    process.stdout.write(outcome.text);
    return exitOk;
  }
  const problems =
    outcome.kind === "refused" ? outcome.problems : findServeProblems(outcome.config);
  if (outcome.kind === "refused" || problems.length > 0) {
    for (const problem of problems) process.stderr.write(`${own.name}: ${problem}\n`);
    return exitUsage;
  }
  return run(outcome.config, own.name);
}

async function run(config: ServeConfig, name: string): Promise<number | undefined> {
  // Whatever this process makes (records, keys, the pepper) is for its own user alone.
  process.umask(0o077);
  // One way out for the lines of all roles, so that none is cut in two by another.
  const destination = { write: (line: string) => void process.stdout.write(line) };
  const level = config.logLevel;
  const service = config.roles.length === serviceRoles.length ? "remex" : config.roles.join("+");
  const log = createLogger({ service, level, destination });
  const shutdown = createShutdown(log);
  runProcess({ log, shutdown });
  try {
    await startControlPlane({
      config,
      log,
      logFor: (role, replica) => createLogger({ service: role, level, replica, destination }),
      shutdown,
    });
    return undefined;
  } catch (error) {
    log.fatal({ err: error }, "the control plane cannot start");
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${name}: ${message}\n`);
    await shutdown.stop("start failed");
    return exitFailed;
  }
}
