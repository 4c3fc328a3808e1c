// SPDX-License-Identifier: Apache-2.0
// What a call of Airflow's Execution API is to a cut: a heartbeat, something to keep, or a question (E1, E2).

/**
 * - `heartbeat`: a task says that it lives; its answer is the chance of Airflow to end it.
 * - `keep`: changes something and brings nothing back but that it was done: its caller can go on while the
 *   call waits on disk.
 * - `ask`: the caller needs what Airflow answers.
 */
export type ExecutionCall =
  | { readonly kind: "heartbeat" }
  | { readonly kind: "keep"; readonly status: number; readonly body: string | undefined }
  | { readonly kind: "ask" };

interface Row {
  readonly method: string;
  readonly path: RegExp;
  readonly call: ExecutionCall;
}

const noContent: ExecutionCall = { kind: "keep", status: 204, body: undefined };

function created(message: string): ExecutionCall {
  return { kind: "keep", status: 201, body: JSON.stringify({ message }) };
}

function done(message: string): ExecutionCall {
  return { kind: "keep", status: 200, body: JSON.stringify({ message }) };
}

/** What Airflow 3.3 answers to each when it went well. A start (`/run`) is a question: it may be refused. */
const rows: readonly Row[] = [
  { method: "PUT", path: /^task-instances\/[^/]+\/heartbeat$/, call: { kind: "heartbeat" } },
  { method: "PATCH", path: /^task-instances\/[^/]+\/state$/, call: noContent },
  { method: "PATCH", path: /^task-instances\/[^/]+\/skip-downstream$/, call: noContent },
  {
    method: "PATCH",
    path: /^task-instances\/[^/]+\/rendered-map-index$/,
    call: noContent,
  },
  {
    method: "PUT",
    path: /^task-instances\/[^/]+\/rtif$/,
    call: created("Rendered task instance fields successfully set"),
  },
  { method: "POST", path: /^xcoms\/.+$/, call: created("XCom successfully set") },
  { method: "DELETE", path: /^xcoms\/.+$/, call: done("XCom successfully deleted") },
  { method: "PUT", path: /^variables\/.+$/, call: created("Variable successfully set") },
  { method: "DELETE", path: /^variables\/.+$/, call: noContent },
];

/** Classifies a call by method and path, which begins with "/execution/". */
export function classifyCall(method: string, path: string): ExecutionCall {
  const name = path.replace(/^\/execution\/+/, "").split("?")[0] ?? "";
  const row = rows.find((known) => known.method === method && known.path.test(name));
  return row?.call ?? { kind: "ask" };
}
