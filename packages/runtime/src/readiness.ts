// SPDX-License-Identifier: Apache-2.0
// Whether this process can do its work: named parts, each ready or with a problem in words.

/** One part that the process needs, for example "redis" or "links to health-monitors". */
export interface ReadinessPart {
  ready(): void;
  /** `problem` is for people and may be shown to anybody who reaches the local port. */
  notReady(problem: string): void;
}

export interface ReadinessReport {
  readonly ready: boolean;
  /** Problems by the name of the part; empty when ready. */
  readonly problems: Readonly<Record<string, string>>;
}

export interface Readiness {
  /** Adds a part; it is not ready ("starting") until it says so. */
  part(name: string): ReadinessPart;
  report(): ReadinessReport;
  /** Calls `listener` on every change from ready to not ready and back. Returns how to stop that. */
  onChange(listener: (report: ReadinessReport) => void): () => void;
}

export function createReadiness(): Readiness {
  const problems = new Map<string, string>();
  const listeners = new Set<(report: ReadinessReport) => void>();

  function report(): ReadinessReport {
    return { ready: problems.size === 0, problems: Object.fromEntries(problems) };
  }

  function change(apply: () => void): void {
    const before = problems.size === 0;
    apply();
    if (before === (problems.size === 0)) return;
    for (const listener of [...listeners]) listener(report());
  }

  return {
    part(name) {
      change(() => problems.set(name, "starting"));
      return {
        ready: () => change(() => problems.delete(name)),
        notReady: (problem) => change(() => problems.set(name, problem)),
      };
    },
    report,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
