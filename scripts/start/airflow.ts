// SPDX-License-Identifier: Apache-2.0
// Airflow beside the control plane: its settings, its database, and its three processes.

import { randomBytes } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { runQuietly } from "../launch/child.mjs";
import { LaunchError, step } from "../launch/progress.mjs";
import { rootDir } from "../launch/toolchain.mjs";
import type { Venv } from "../tools/python.ts";
import { type AirflowApi, createAirflowApi } from "./airflow-api.ts";
import type { Programs } from "./programs.ts";
import { waitUntil } from "./wait.ts";

/** The DAGs of a run: Airflow's own examples by module, then ours by file. */
const exampleModules = [
  "airflow.providers.standard.example_dags.example_bash_operator",
  "airflow.example_dags.tutorial_taskflow_api",
  "airflow.example_dags.example_xcom",
  "airflow.example_dags.example_dynamic_task_mapping",
  "airflow.example_dags.example_task_group",
  "airflow.providers.standard.example_dags.example_branch_operator",
];
const ownDag = "remex_retry";
export const dagIds = [...exampleModules.map((name) => name.split(".").at(-1) ?? name), ownDag];

export interface AirflowSettings {
  readonly venv: Venv;
  readonly dataDir: string;
  readonly port: number;
  readonly gatewayUrl: string;
  readonly submitterKeyFile: string;
  readonly deployment: string;
}

/**
 * What Airflow's servers and the agent must agree about: which files a bundle's name stands for, and where
 * the api-server finds the logs of ended tasks. A site would have remote logging for these.
 */
export function bundleEnvironment(dataDir: string): NodeJS.ProcessEnv {
  const bundle = {
    name: "examples",
    classpath: "airflow.dag_processing.bundles.local.LocalDagBundle",
    kwargs: { path: path.join(dataDir, "dags"), refresh_interval: 300 },
  };
  return {
    AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST: JSON.stringify([bundle]),
    AIRFLOW__CORE__LOAD_EXAMPLES: "False",
    AIRFLOW__LOGGING__BASE_LOG_FOLDER: path.join(dataDir, "logs", "airflow"),
  };
}

/** Puts the unchanged example files of the installed Airflow, and ours, into the bundle's folder. */
async function copyDags(venv: Venv, dataDir: string): Promise<void> {
  // Looked up by path: importing Airflow would take seconds and make files in the home folder.
  const where = "import sysconfig; print(sysconfig.get_path('purelib'))";
  const run = await runQuietly(venv.python, ["-c", where]);
  const files = exampleModules.map((name) =>
    path.join(run.output.trim(), ...name.split(".")).concat(".py"),
  );
  const missing = files.filter((file) => !existsSync(file));
  if (missing.length > 0) {
    throw new LaunchError(
      `Airflow's example DAGs are not where they should be: ${missing.join(", ")}`,
      "npm start -- --clean, then npm start",
    );
  }
  const dir = path.join(dataDir, "dags");
  mkdirSync(dir, { recursive: true });
  const own = path.join(rootDir, "scripts", "start", "dags", `${ownDag}.py`);
  for (const file of [...files, own]) copyFileSync(file, path.join(dir, path.basename(file)));
}

/** The keys of Airflow's servers, made once per data folder; agents never see them. */
function serverSecrets(home: string): NodeJS.ProcessEnv {
  const file = path.join(home, "secrets.json");
  if (!existsSync(file)) {
    const secrets = {
      AIRFLOW__CORE__FERNET_KEY: randomBytes(32)
        .toString("base64")
        .replaceAll("+", "-")
        .replaceAll("/", "_"),
      AIRFLOW__API_AUTH__JWT_SECRET: randomBytes(32).toString("hex"),
      AIRFLOW__API__SECRET_KEY: randomBytes(32).toString("hex"),
    };
    writeFileSync(file, JSON.stringify(secrets), { mode: 0o600 });
  }
  return JSON.parse(readFileSync(file, "utf8")) as NodeJS.ProcessEnv;
}

function serverEnvironment(settings: AirflowSettings): NodeJS.ProcessEnv {
  const home = path.join(settings.dataDir, "airflow");
  mkdirSync(home, { recursive: true, mode: 0o700 });
  // Settings of another Airflow, which the user may have, are not for this one.
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith("AIRFLOW"));
  return {
    ...Object.fromEntries(others),
    PATH: `${settings.venv.bin}${path.delimiter}${process.env.PATH ?? ""}`,
    AIRFLOW_HOME: home,
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: `sqlite:///${path.join(home, "airflow.db")}`,
    ...serverSecrets(home),
    ...bundleEnvironment(settings.dataDir),
    AIRFLOW__CORE__EXECUTOR: "remex_airflow.executor.RemexExecutor",
    AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS: "True",
    AIRFLOW__CORE__PARALLELISM: "256",
    AIRFLOW__API__BASE_URL: `http://127.0.0.1:${settings.port}`,
    AIRFLOW__API__PORT: String(settings.port),
    AIRFLOW__API__WORKERS: "1",
    AIRFLOW__CORE__EXECUTION_API_SERVER_URL: `http://127.0.0.1:${settings.port}/execution/`,
    // Only the runs that are asked for: the examples' own schedules would add others.
    AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE: "False",
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED: "False",
    AIRFLOW__REMEX__URL: settings.gatewayUrl,
    AIRFLOW__REMEX__KEY_FILE: settings.submitterKeyFile,
    AIRFLOW__REMEX__DEPLOYMENT: settings.deployment,
  };
}

async function migrateDatabase(
  airflow: string,
  env: NodeJS.ProcessEnv,
  cwd: string,
): Promise<void> {
  const run = await runQuietly(airflow, ["db", "migrate"], { env, cwd });
  if (run.code === 0) return;
  throw new LaunchError(
    `airflow db migrate failed:\n${run.output}`,
    "npm start -- --clean, then npm start",
  );
}

/** The database is made once; a start with the same Airflow finds it ready. */
async function ensureDatabase(
  airflow: string,
  env: NodeJS.ProcessEnv,
  home: string,
): Promise<void> {
  const stamp = path.join(home, "migrated");
  const version = readFileSync(path.join(rootDir, "scripts", "python", "airflow.lock"), "utf8");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === version) return;
  await step("making Airflow's database", () => migrateDatabase(airflow, env, home));
  writeFileSync(stamp, version);
}

/** Starts Airflow's api-server, scheduler and dag-processor; resolves when all are healthy. */
export async function startAirflow(
  programs: Programs,
  settings: AirflowSettings,
): Promise<AirflowApi> {
  const env = serverEnvironment(settings);
  const home = path.join(settings.dataDir, "airflow");
  const airflow = path.join(settings.venv.bin, "airflow");
  await copyDags(settings.venv, settings.dataDir);
  await ensureDatabase(airflow, env, home);
  const commands = {
    "airflow-api-server": ["api-server", "--host", "127.0.0.1", "--port", String(settings.port)],
    "airflow-scheduler": ["scheduler"],
    "airflow-dag-processor": ["dag-processor"],
  };
  const api = createAirflowApi(`http://127.0.0.1:${settings.port}`);
  await step("starting Airflow", async () => {
    for (const [name, args] of Object.entries(commands)) {
      await programs.start({ name, command: airflow, args, env, cwd: home, stage: 2 });
    }
    const logs = path.dirname(programs.logFileOf("airflow-scheduler"));
    await waitUntil("Airflow", 180_000, api.isHealthy, `read the airflow-* files in ${logs}`);
  });
  return api;
}

/** For deferrable tasks of DAGs that a person adds; those of a run have none. */
export async function startTriggerer(programs: Programs, settings: AirflowSettings): Promise<void> {
  await programs.start({
    name: "airflow-triggerer",
    command: path.join(settings.venv.bin, "airflow"),
    args: ["triggerer", "--skip-serve-logs"],
    env: serverEnvironment(settings),
    cwd: path.join(settings.dataDir, "airflow"),
    stage: 2,
  });
}
