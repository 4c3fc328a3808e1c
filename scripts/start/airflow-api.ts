// SPDX-License-Identifier: Apache-2.0
// The few calls of Airflow's REST API that a run needs.

export interface TaskInstance {
  readonly taskId: string;
  readonly mapIndex: number;
  readonly state: string | null;
  readonly tryNumber: number;
  readonly hostname: string | null;
  readonly durationSeconds: number | null;
}

export interface AirflowApi {
  isHealthy(): Promise<true | undefined>;
  /** True once the DAG is known and its file has been read without errors. */
  hasDag(dag: string): Promise<true | undefined>;
  importErrors(): Promise<readonly string[]>;
  /** Pauses or unpauses all DAGs. */
  setPaused(paused: boolean): Promise<void>;
  /** @returns the run's id */
  trigger(dag: string): Promise<string>;
  runState(dag: string, run: string): Promise<string>;
  taskInstances(dag: string, run: string): Promise<readonly TaskInstance[]>;
}

interface RawTaskInstance {
  task_id: string;
  map_index: number;
  state: string | null;
  try_number: number;
  hostname: string | null;
  duration: number | null;
}

const callTimeoutMs = 30_000;
/** SQLite lets one writer in at a time, and Airflow answers 500 when a write has waited 5 s in vain. */
const patience = { tries: 5, pauseMs: 1_000 };

class AirflowError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export function createAirflowApi(baseUrl: string): AirflowApi {
  let token: Promise<string> | undefined;

  async function fetchToken(): Promise<string> {
    const response = await fetch(`${baseUrl}/auth/token`, {
      signal: AbortSignal.timeout(callTimeoutMs),
    });
    if (!response.ok) throw new Error(`airflow gave no token: status ${response.status}`);
    return ((await response.json()) as { access_token: string }).access_token;
  }

  /** Only for calls that may be made twice. */
  async function call<T>(method: string, route: string, body?: unknown): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await callOnce<T>(method, route, body);
      } catch (error) {
        const passes = error instanceof AirflowError && error.status >= 500;
        if (!passes || tries === patience.tries) throw error;
        await new Promise((resolve) => setTimeout(resolve, patience.pauseMs));
      }
    }
  }

  async function callOnce<T>(method: string, route: string, body: unknown): Promise<T> {
    token ??= fetchToken();
    // A token that could not be had is asked for again at the next call.
    token.catch(() => {
      token = undefined;
    });
    const response = await fetch(`${baseUrl}/api/v2${route}`, {
      method,
      headers: { authorization: `Bearer ${await token}`, "content-type": "application/json" },
      signal: AbortSignal.timeout(callTimeoutMs),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) {
      throw new AirflowError(
        response.status,
        `airflow answered ${response.status} to ${method} ${route}: ${await response.text()}`,
      );
    }
    return (await response.json()) as T;
  }

  const runRoute = (dag: string, run: string) => `/dags/${dag}/dagRuns/${encodeURIComponent(run)}`;

  return {
    isHealthy: async () => {
      const health = await call<Record<string, { status: string | null }>>(
        "GET",
        "/monitor/health",
      );
      const parts = ["metadatabase", "scheduler", "dag_processor"];
      return parts.every((name) => health[name]?.status === "healthy") ? true : undefined;
    },
    hasDag: async (dag) => {
      const response = await call<{ dag_id: string; is_stale: boolean }>("GET", `/dags/${dag}`);
      return response.is_stale ? undefined : true;
    },
    importErrors: async () => {
      const answer = await call<{ import_errors: { filename: string; stack_trace: string }[] }>(
        "GET",
        "/importErrors",
      );
      return answer.import_errors.map((error) => `${error.filename}: ${error.stack_trace}`);
    },
    setPaused: async (paused) => {
      await call("PATCH", "/dags?dag_id_pattern=~&limit=100", { is_paused: paused });
    },
    trigger: async (dag) => {
      const run = `remex__${new Date().toISOString()}`;
      const body = { dag_run_id: run, logical_date: null, conf: {} };
      await call("POST", `/dags/${dag}/dagRuns`, body).catch((error: unknown) => {
        // An earlier try of the same call has made it, and its answer was lost.
        if (!(error instanceof AirflowError && error.status === 409)) throw error;
      });
      return run;
    },
    runState: async (dag, run) => (await call<{ state: string }>("GET", runRoute(dag, run))).state,
    taskInstances: async (dag, run) => {
      const answer = await call<{ task_instances: RawTaskInstance[] }>(
        "GET",
        `${runRoute(dag, run)}/taskInstances?limit=200`,
      );
      return answer.task_instances.map((raw) => ({
        taskId: raw.task_id,
        mapIndex: raw.map_index,
        state: raw.state,
        tryNumber: raw.try_number,
        hostname: raw.hostname,
        durationSeconds: raw.duration,
      }));
    },
  };
}
