// SPDX-License-Identifier: Apache-2.0
// The options of `npm start`.

import path from "node:path";
import { parseArgs } from "node:util";
import { LaunchError } from "../launch/progress.mjs";
import { stateDir } from "../launch/toolchain.mjs";

export interface StartOptions {
  /** End after the summary instead of keeping everything running. */
  readonly once: boolean;
  readonly withAirflow: boolean;
  /** Remove what earlier runs made, and do nothing else. */
  readonly clean: boolean;
  readonly help: boolean;
  /** Where this run keeps its data, logs and keys. */
  readonly dataDir: string;
  /** Where the summary is written as JSON, for programs. */
  readonly summaryFile: string | undefined;
}

export const usage = `usage: npm start -- [options]

Starts Redis, the Remex control plane, Apache Airflow and a worker agent on this machine, runs Airflow's
example DAGs on the agent, and keeps everything running until Ctrl-C.

  --once               exit after the summary: 0 if everything succeeded, else 1
  --without-airflow    no Airflow: run sample commands on the agent instead (needs no Python)
  --clean              remove everything that was installed or stored (.remex, node_modules), then exit
  --data-dir DIR       where data, logs and keys of this run are kept (default: .remex/start)
  --summary-file FILE  also write the summary as JSON
  --help               show this text

environment:
  REDIS_URL            use this Redis or Valkey (7 or newer) instead of starting one
  REMEX_PYTHON         the Python (3.10 to 3.13) that Airflow is installed with
`;

export function parseOptions(argv: readonly string[]): StartOptions {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        once: { type: "boolean", default: false },
        "without-airflow": { type: "boolean", default: false },
        clean: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
        "data-dir": { type: "string" },
        "summary-file": { type: "string" },
      },
    });
    const file = values["summary-file"];
    return {
      once: values.once,
      withAirflow: !values["without-airflow"],
      clean: values.clean,
      help: values.help,
      dataDir: path.resolve(values["data-dir"] ?? path.join(stateDir, "start")),
      summaryFile: file === undefined ? undefined : path.resolve(file),
    };
  } catch (error) {
    throw new LaunchError(
      error instanceof Error ? error.message : String(error),
      "see `npm start -- --help`",
    );
  }
}
