// SPDX-License-Identifier: Apache-2.0
// One table: how a stream's end, or a dial that failed, decides what the agent does next (PROTOCOL L5).

/** How a dial or a stream ended. */
export interface StreamEnd {
  /** Name of the gRPC status, in lower case ("unavailable", as Connect writes it); "ok" for an end without an error. */
  readonly status: string;
  /** The stable code of the error's detail; undefined when there is none. */
  readonly code: string | undefined;
  /** One line for people, from the control plane or from the transport. */
  readonly message: string;
  /** How long the control plane asks to wait. */
  readonly retryAfterMs: number | undefined;
}

/**
 * - `redial`: try the same again, at once and then with backoff.
 * - `newSession`: the session cannot be resumed; ask for a new one at once.
 * - `refused`: the control plane will say the same again until somebody changes something. The agent
 *   goes on trying, slowly: the token's file may be replaced, the name may fall free.
 */
export type NextDial = "redial" | "newSession" | "refused";

const statuses: Readonly<Record<string, { readonly resume: NextDial; readonly open: NextDial }>> = {
  ok: { resume: "redial", open: "redial" },
  canceled: { resume: "redial", open: "redial" },
  unknown: { resume: "redial", open: "redial" },
  deadline_exceeded: { resume: "redial", open: "redial" },
  resource_exhausted: { resume: "redial", open: "redial" },
  aborted: { resume: "redial", open: "redial" },
  internal: { resume: "redial", open: "redial" },
  unavailable: { resume: "redial", open: "redial" },
  data_loss: { resume: "redial", open: "redial" },
  invalid_argument: { resume: "newSession", open: "refused" },
  not_found: { resume: "newSession", open: "refused" },
  already_exists: { resume: "newSession", open: "refused" },
  permission_denied: { resume: "newSession", open: "refused" },
  failed_precondition: { resume: "newSession", open: "refused" },
  out_of_range: { resume: "newSession", open: "refused" },
  unimplemented: { resume: "newSession", open: "refused" },
  unauthenticated: { resume: "newSession", open: "refused" },
};

/** Codes that weigh more than their status. */
const codes: Readonly<Record<string, { readonly resume: NextDial; readonly open: NextDial }>> = {
  // The records of the deployment are on their way into the store: nothing is wrong with the agent.
  settings_not_in_effect: { resume: "redial", open: "redial" },
};

/** What to do next. `resuming`: the stream was, or was to be, one of a known session. */
export function decideNextDial(end: StreamEnd, resuming: boolean): NextDial {
  const row = (end.code === undefined ? undefined : codes[end.code]) ?? statuses[end.status];
  if (row === undefined) return "redial";
  return resuming ? row.resume : row.open;
}

/** Upper bound of the wait before a dial: none for the first try, then doubling (L5). */
export function backoffBoundMs(tries: number, leaseMs: number): number {
  if (tries === 0) return 0;
  const most = Math.min(30_000, leaseMs / 2);
  return Math.min(most, 500 * 2 ** Math.min(tries - 1, 20));
}
