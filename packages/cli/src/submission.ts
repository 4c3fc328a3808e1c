// SPDX-License-Identifier: Apache-2.0
// Builds the contract's submissions from what was typed or read, and cuts them into calls.

import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  OnCut,
  OnLost,
  type TaskSpecSchema,
  type TaskSubmission,
  TaskSubmissionSchema,
} from "@remex/client";
import type { TaskWish } from "./batch-file.ts";
import { usageError } from "./cli-error.ts";
import { parseDurationMs, parseLostAfterMs } from "./duration-text.ts";
import { triggerWorkOf } from "./trigger-wish.ts";
import { onCutWords, onLostWords, valueOfWord, wordsOf } from "./words.ts";

type Work = NonNullable<MessageInitShape<typeof TaskSpecSchema>["work"]>;

/**
 * `place` names the task in errors, empty for the one of the command line. A task without a key gets
 * `randomKey`, so that a repeated call cannot queue it twice.
 */
export function submissionOf(
  wish: TaskWish,
  place: string,
  randomKey: () => string,
): TaskSubmission {
  const { command = [], noop = false } = wish;
  const at = place === "" ? "" : `${place}: `;
  const trigger = triggerWorkOf(wish, at);
  if (noop && command.length > 0) throw usageError(`${at}a noop has no command`);
  if (trigger !== undefined && (noop || command.length > 0)) {
    throw usageError(`${at}a trigger has no command and is no noop`);
  }
  if (!noop && trigger === undefined && command.length === 0) {
    throw usageError(
      `${at}there is no command`,
      place === "" ? "write it after two dashes: remex tasks submit -- CMD ARGS..." : undefined,
    );
  }
  const { timeout, onLost, onCut, lostAfter } = wish;
  const lost = onLost === undefined ? OnLost.UNSPECIFIED : parseOnLost(onLost, at);
  const cut = onCut === undefined ? OnCut.UNSPECIFIED : parseOnCut(onCut, at);
  const spec: MessageInitShape<typeof TaskSpecSchema> = {
    queue: wish.queue ?? "",
    requiredLabels: { ...wish.labels },
    priority: wish.priority ?? 0,
    slotCost: wish.slotCost ?? 0,
    onLost: lost,
    onCut: cut,
    ...(lostAfter === undefined
      ? {}
      : { lostAfter: durationFromMs(parseLostAfterMs(lostAfter, `${at}--lost-after`)) }),
    maxRetries: wish.maxRetries ?? 0,
    ...(timeout === undefined
      ? {}
      : { timeout: durationFromMs(parseDurationMs(timeout, `${at}--timeout`)) }),
    work: trigger === undefined ? commandWorkOf(wish) : { case: "trigger", value: trigger },
  };
  return build(spec, wish.key ?? randomKey(), at);
}

function commandWorkOf({ noop, command = [], env, cwd = "" }: TaskWish): Work {
  if (noop === true) return { case: "noop", value: {} };
  return { case: "command", value: { argv: [...command], env: { ...env }, cwd } };
}

function build(
  spec: MessageInitShape<typeof TaskSpecSchema>,
  idempotencyKey: string,
  at: string,
): TaskSubmission {
  const submission = create(TaskSubmissionSchema, { idempotencyKey, spec });
  try {
    // Encoding is where a number beyond its range is noticed; here the task's place is still known.
    toBinary(TaskSubmissionSchema, submission);
  } catch (error) {
    throw usageError(`${at}${error instanceof Error ? error.message : String(error)}`);
  }
  return submission;
}

function parseOnLost(word: string, at: string): OnLost {
  const value = valueOfWord<OnLost>(onLostWords, word);
  if (value !== undefined) return value;
  throw usageError(
    `${at}on-lost ${JSON.stringify(word)} is not one of ${wordsOf(onLostWords).join(", ")}`,
  );
}

function parseOnCut(word: string, at: string): OnCut {
  const value = valueOfWord<OnCut>(onCutWords, word);
  if (value !== undefined) return value;
  throw usageError(
    `${at}on-cut ${JSON.stringify(word)} is not one of ${wordsOf(onCutWords).join(", ")}`,
  );
}

/** Parses K=V pairs; `flag` names the option in errors. */
export function parsePairs(pairs: readonly string[], flag: string): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) throw usageError(`${flag}: ${JSON.stringify(pair)} is not of the form KEY=VALUE`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

const mostPerCall = 1_000;
/** The service takes 4 MiB; the rest of the frame needs some of it. */
const mostBytesPerCall = 3_500_000;

/** Calls of at most 1,000 submissions and 3.5 MB each, in order. */
export function cutIntoCalls(submissions: readonly TaskSubmission[]): TaskSubmission[][] {
  const calls: TaskSubmission[][] = [];
  let bytes = 0;
  for (const submission of submissions) {
    const size = toBinary(TaskSubmissionSchema, submission).length;
    const current = calls.at(-1);
    const fits =
      current !== undefined && current.length < mostPerCall && bytes + size <= mostBytesPerCall;
    if (fits) {
      current.push(submission);
      bytes += size;
    } else {
      calls.push([submission]);
      bytes = size;
    }
  }
  return calls;
}
