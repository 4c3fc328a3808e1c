// SPDX-License-Identifier: Apache-2.0
// A process around the command for tests: what it writes is kept.

import type { World } from "./world.ts";

export interface FakeWorld extends World {
  stdout(): string;
  stderr(): string;
}

export function createFakeWorld(env: World["env"] = {}): FakeWorld {
  let stdout = "";
  let stderr = "";
  return {
    env,
    nowMs: () => Date.UTC(2026, 0, 1),
    write: async (text) => {
      stdout += typeof text === "string" ? text : new TextDecoder().decode(text);
    },
    tell: (text) => {
      stderr += text;
    },
    readStdin: async () => "",
    ask: async () => undefined,
    onInterrupt: () => ({ signal: new AbortController().signal, release: () => undefined }),
    stdout: () => stdout,
    stderr: () => stderr,
  };
}
