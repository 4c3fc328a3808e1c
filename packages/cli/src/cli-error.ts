// SPDX-License-Identifier: Apache-2.0
// Every failure of the command as one line, one hint and one exit code.

import { type CallFailure, Code, callErrorOf, RemexCallError } from "@remex/client";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { oneLine } from "./terminal-text.ts";

export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode;
  readonly hint: string | undefined;

  constructor(message: string, exitCode: ExitCode, hint?: string, cause?: unknown) {
    super(message, { cause });
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

/** The command line is wrong. */
export function usageError(message: string, hint?: string): CliError {
  return new CliError(message, exitCodes.usage, hint);
}

export const keyHint =
  "give an operator key with --key-file FILE, REMEX_KEY_FILE or REMEX_KEY; " +
  "the first admin key is in the file admin.key of the data folder of `remex serve`";

/** A failed call, as the person at the terminal needs it. `url` is the gateway's. */
export function cliErrorOf(thrown: unknown, url: string): CliError {
  if (thrown instanceof CliError) return thrown;
  const error = callErrorOf(thrown);
  return new CliError(messageOf(error, url), exitCodeOf(error), hintOf(error), thrown);
}

/** The refusal of one item of a batch. */
export function cliErrorOfRefusal(refusal: CallFailure): CliError {
  return cliErrorOf(new RemexCallError(refusal), "");
}

function messageOf(error: RemexCallError, url: string): string {
  switch (error.code) {
    case "gateway_unreachable":
      return `cannot reach the gateway at ${url}: ${error.facts.problem ?? error.message}`;
    case "call_timeout":
      return `the gateway at ${url} did not answer in time; whether the call took effect is unknown`;
    case "call_failed":
      return isForeign(error)
        ? `the answer of ${url} is not that of a gateway: ${error.facts.problem ?? error.message}`
        : error.message;
    default:
      return error.message;
  }
}

function hintOf(error: RemexCallError): string | undefined {
  switch (error.code) {
    case "gateway_unreachable":
      return "is `remex serve` running? start it, or give its address with --url or REMEX_URL";
    case "call_timeout":
      return "repeat the call, or give it more time with --timeout";
    case "call_failed":
      return isForeign(error)
        ? "check --url and REMEX_URL: they must name the gateway's address (port 8700 by default)"
        : undefined;
    case "key_missing":
    case "key_refused":
    case "key_expired":
    case "key_revoked":
    case "key_unusable":
      return keyHint;
    case "not_allowed":
      return "use an operator key with a greater role; `remex keys list` shows them to an admin";
    case "agent_not_gone":
    case "agent_unknown":
      return "`remex agents list` shows the agents";
    case "token_unknown":
      return "`remex tokens list` shows the tokens";
    case "key_unknown":
      return "`remex keys list` shows the keys";
    case "task_unknown":
      return "`remex tasks list` shows the tasks";
    default:
      return undefined;
  }
}

/** A web server or an agents' door answers like this when it is taken for a gateway. */
function isForeign(error: RemexCallError): boolean {
  return error.connectCode === Code.Unknown || error.connectCode === Code.Unimplemented;
}

function exitCodeOf(error: RemexCallError): ExitCode {
  // The refusal of an item carries no Connect code; its stable code says as much.
  if (error.connectCode === Code.NotFound || /_unknown$/.test(error.code)) {
    return error.connectCode === Code.InvalidArgument ? exitCodes.failed : exitCodes.notFound;
  }
  if (error.code === "recorded_not_in_effect") return exitCodes.failed;
  switch (error.connectCode) {
    case Code.Unauthenticated:
    case Code.PermissionDenied:
      return exitCodes.notAuthorised;
    case Code.Unavailable:
    case Code.DeadlineExceeded:
      return exitCodes.unreachable;
    default:
      return error.code === "gateway_unreachable" ? exitCodes.unreachable : exitCodes.failed;
  }
}

/** `error: ...` and, where there is one, `hint: ...`; text of others cannot break out of its line. */
export function errorLines(error: CliError): string {
  const hint = error.hint === undefined ? "" : `hint: ${oneLine(error.hint)}\n`;
  return `error: ${oneLine(error.message)}\n${hint}`;
}
