// SPDX-License-Identifier: Apache-2.0
// Writes down what the control plane tells of tasks, over plain HTTP and JSON as any program could.

import type { ChangeLine, FinalTask } from "./history.ts";

interface Ref {
  readonly epoch?: string;
  readonly number?: string;
}

interface ChangeJson {
  readonly task: string;
  readonly state?: string;
  readonly attempt?: Ref;
  readonly stage?: string;
  readonly agent?: string;
  readonly outcome?: string;
  readonly reason?: string;
  readonly at?: string;
}

export interface Recorder {
  readonly changes: readonly ChangeLine[];
  /** How often the cursor began anew: the store had lost what it pointed at. */
  readonly resets: () => number;
  /** Reads tasks as they stand now. */
  read(tasks: readonly string[]): Promise<FinalTask[]>;
  /** Hears what is left, then ends. */
  stop(): Promise<void>;
}

const waitText = "1s";
const againAfterMs = 100;
const requestLimitMs = 10_000;
const pageSize = 200;

export function startRecorder(url: string, key: string, deployment: string): Recorder {
  const changes: ChangeLine[] = [];
  let resets = 0;
  let cursor = "";
  let stopping = false;

  async function call<Answer>(method: string, body: object): Promise<Answer> {
    const answer = await fetch(`${url}/remex.scheduler.v1.TaskService/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
      body: JSON.stringify({ deployment, ...body }),
      signal: AbortSignal.timeout(requestLimitMs),
    });
    if (!answer.ok) throw new Error(`${method}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as Answer;
  }

  async function hear(): Promise<number> {
    const page = await call<{
      changes?: readonly ChangeJson[];
      cursor?: string;
      cursorReset?: boolean;
    }>("ListTaskChanges", { cursor, wait: waitText, limit: 1_000 });
    if (page.cursorReset === true) resets += 1;
    cursor = page.cursor ?? cursor;
    const heardAtMs = Date.now();
    for (const change of page.changes ?? []) changes.push(lineOf(change, heardAtMs));
    return page.changes?.length ?? 0;
  }

  const loop = (async () => {
    while (!stopping) {
      // The gateway may be away, which is what this is about: the cursor goes on where it was.
      await hear().catch(() => new Promise((resolve) => setTimeout(resolve, againAfterMs)));
    }
  })();

  return {
    changes,
    resets: () => resets,
    read: async (tasks) => {
      const found: FinalTask[] = [];
      for (let at = 0; at < tasks.length; at += pageSize) {
        const page = await call<{ tasks?: readonly Record<string, unknown>[] }>("BatchGetTasks", {
          tasks: tasks.slice(at, at + pageSize),
        });
        found.push(...(page.tasks ?? []).map(finalOf));
      }
      return found;
    },
    stop: async () => {
      stopping = true;
      await loop;
      while ((await hear()) > 0);
    },
  };
}

function lineOf(change: ChangeJson, heardAtMs: number): ChangeLine {
  return {
    task: change.task,
    state: word(change.state, "TASK_STATE_"),
    attempt: refText(change.attempt),
    stage: word(change.stage, "ATTEMPT_STAGE_"),
    agent: change.agent ?? "",
    outcome: word(change.outcome, "OUTCOME_KIND_"),
    reason: change.reason ?? "",
    atMs: Date.parse(change.at ?? ""),
    heardAtMs,
  };
}

function finalOf(task: Record<string, unknown>): FinalTask {
  const attempt = task.attempt as { attempt?: Ref; outcome?: { kind?: string } } | undefined;
  return {
    task: String(task.task),
    state: word(task.state as string | undefined, "TASK_STATE_"),
    attempt: refText(attempt?.attempt),
    outcome: word(attempt?.outcome?.kind, "OUTCOME_KIND_"),
    staleReports: Number(task.staleReports ?? 0),
  };
}

function word(value: string | undefined, prefix: string): string {
  const text = (value ?? "").replace(prefix, "");
  return text === "UNSPECIFIED" ? "" : text;
}

function refText(ref: Ref | undefined): string {
  return ref?.number === undefined ? "" : `${ref.epoch}.${ref.number}`;
}
