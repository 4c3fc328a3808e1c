// SPDX-License-Identifier: Apache-2.0
// Structured logs: JSON lines with stable field names, in which no credential can appear.

import { type DestinationStream, destination, type Logger as PinoLogger, pino } from "pino";
import { hideCredentials } from "./secret.ts";

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/**
 * A structured logger: `log.info({ deployment, agent, session }, "session opened")`. The message is
 * constant; what varies is in fields, under these names alone: service, replica, deployment, agent,
 * session, attempt, task, queue, registry, scheduler, monitor, peer, reason, durationMs, err.
 */
export type Logger = PinoLogger;

export interface LoggerOptions {
  /** Name of the program or role, in every line. */
  readonly service: string;
  readonly level: LogLevel;
  /** Id of this replica, in every line. */
  readonly replica?: string;
  /** File descriptor that lines go to: 1 (standard output, the default) or 2 (standard error). */
  readonly fd?: 1 | 2;
  /** Where lines go instead, for tests. */
  readonly destination?: DestinationStream;
}

/** Fields that never reach a log, should one be passed by mistake. */
const redactedFields = ["token", "key", "value", "authorization", "sessionKey", "password"];

/** Builds the logger of a process. */
export function createLogger(options: LoggerOptions): Logger {
  const lines = options.destination ?? openDestination(options.fd ?? 1);
  return pino(
    {
      level: options.level,
      base: {
        service: options.service,
        ...(options.replica === undefined ? {} : { replica: options.replica }),
      },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: redactedFields.flatMap((field) => [field, `*.${field}`]),
        censor: "[secret]",
      },
      serializers: { err: serializeError },
    },
    { write: (line: string) => lines.write(hideCredentials(line)) },
  );
}

/** Writes behind the event loop's back, and what is left at the exit before the process is gone. */
function openDestination(fd: 1 | 2): DestinationStream {
  const lines = destination({ dest: fd, sync: false, minLength: 0 });
  // Whoever read our lines may be gone: that must not end the process.
  lines.on("error", () => undefined);
  process.on("exit", () => {
    try {
      lines.flushSync();
    } catch {
      // There is nowhere left to say it.
    }
  });
  return lines;
}

/** A logger that writes nothing, for tests and for library defaults. */
export function createSilentLogger(): Logger {
  return pino({ level: "silent" });
}

interface LoggedError {
  readonly type: string;
  readonly message: string;
  readonly code?: unknown;
  readonly stack?: string;
  readonly cause?: unknown;
}

const deepestCause = 5;

/** Errors as fields: type, message, code, stack and the chain of causes. */
function serializeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return String(error);
  const logged: LoggedError = {
    type: error.name,
    message: error.message,
    ...("code" in error ? { code: error.code } : {}),
    ...(depth === 0 && error.stack !== undefined ? { stack: error.stack } : {}),
    ...(error.cause === undefined || depth >= deepestCause
      ? {}
      : { cause: serializeError(error.cause, depth + 1) }),
  };
  return logged;
}
