// SPDX-License-Identifier: Apache-2.0
// Labels: the rules of their keys and values, and whether an agent's fit what a task requires.

import { type Parsed, quoted } from "./ids.ts";
import { failureOf } from "./remex-error.ts";

export type Labels = Readonly<Record<string, string>>;

/** Most labels that an agent may have. */
export const maxAgentLabels = 32;
/** Most labels that a task may require. */
export const maxRequiredLabels = 16;

const longestLabelBytes = 63;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const controlPattern = /[\u0000-\u001f\u007f]/;

/** Checks labels: at most `most`; keys of 1 to 63 bytes, values of 0 to 63, no control characters. */
export function parseLabels(labels: Labels, most: number): Parsed<Labels> {
  const entries = Object.entries(labels);
  if (entries.length > most) return refuse(`${entries.length} labels, at most ${most} are allowed`);
  for (const [key, value] of entries) {
    if (key === "") return refuse("a key is empty");
    const problem =
      textProblem(`key ${quoted(key)}`, key) ?? textProblem(`the value of ${quoted(key)}`, value);
    if (problem !== undefined) return refuse(problem);
  }
  return { ok: true, value: labels };
}

function textProblem(what: string, text: string): string | undefined {
  if (new TextEncoder().encode(text).length > longestLabelBytes) {
    return `${what} has more than ${longestLabelBytes} bytes`;
  }
  return controlPattern.test(text) ? `${what} holds control characters` : undefined;
}

function refuse(problem: string): Parsed<Labels> {
  return { ok: false, failure: failureOf("labels_invalid", { problem }) };
}

/** True when the agent has every required label with an equal value. */
export function labelsFit(required: Labels, agent: Labels): boolean {
  return Object.entries(required).every(
    ([key, value]) => Object.hasOwn(agent, key) && agent[key] === value,
  );
}
