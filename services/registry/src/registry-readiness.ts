// SPDX-License-Identifier: Apache-2.0
// What a registry needs to be of use: links to monitors and schedulers, and the stream of revocations.
import type { Readiness } from "@remex/runtime";

export interface RegistryReadiness {
  /** Links that are up. */
  links(monitors: number, schedulers: number): void;
  /** Whether beats are answered in time, or at no other registry either. */
  answers(inTime: boolean): void;
  /** Whether revocations are followed. */
  tokens(up: boolean): void;
  stopping(): void;
}

export function createRegistryReadiness(readiness: Readiness): RegistryReadiness {
  const monitors = readiness.part("links to health-monitors");
  const schedulers = readiness.part("links to schedulers");
  const tokens = readiness.part("revocations of tokens");
  const answers = readiness.part("acknowledgements of beats");
  answers.ready();
  return {
    links(monitorLinks, schedulerLinks) {
      if (monitorLinks > 0) monitors.ready();
      else monitors.notReady("no health-monitor can be reached: agents get no acknowledgement");
      if (schedulerLinks > 0) schedulers.ready();
      else schedulers.notReady("no scheduler can be reached: agents get no work");
    },
    answers(inTime) {
      if (inTime) answers.ready();
      else
        answers.notReady(
          "beats wait for longer than half an interval for their answer, and another registry's do not",
        );
    },
    tokens(up) {
      if (up) tokens.ready();
      else tokens.notReady("the token service cannot be reached: revocations are not heard of");
    },
    stopping: () => monitors.notReady("shutting down"),
  };
}
