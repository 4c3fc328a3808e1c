// SPDX-License-Identifier: Apache-2.0
// I1: an attempt starts at most once.

import type { Check } from "../observe/facts.ts";

export function createStartsOnceCheck(): Check {
  const started = new Set<string>();
  return {
    rule: "I1",
    take(fact) {
      if (fact.kind !== "began") return undefined;
      const name = `${fact.task} ${fact.attempt}`;
      if (started.has(name)) return `${name} was started again on ${fact.host}`;
      started.add(name);
      return undefined;
    },
  };
}
