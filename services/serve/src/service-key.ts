// SPDX-License-Identifier: Apache-2.0
// The key that the services of an installation share, read again from its file while the process runs.

import { randomBytes } from "node:crypto";
import {
  type Clock,
  type Logger,
  loadOrCreateSecretFile,
  readSecretFile,
  Secret,
} from "@remex/runtime";
import type { KeySource } from "@remex/transport";

export interface ServiceKeyDeps {
  readonly path: string;
  /** True when a missing file may be made here. */
  readonly mayCreate: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

const readAgainMs = 10_000;
const keyBytes = 32;

/** Loads the key; later changes of the file are seen within seconds. */
export async function loadServiceKey(
  deps: ServiceKeyDeps,
): Promise<{ readonly key: KeySource; stop(): void }> {
  const read = async (): Promise<Secret> =>
    new Secret(
      deps.mayCreate
        ? await loadOrCreateSecretFile(deps.path, () => randomBytes(keyBytes).toString("hex"))
        : await readSecretFile(deps.path),
    );
  let current = await read();
  const stop = deps.clock.every(readAgainMs, () => {
    read().then(
      (key) => {
        current = key;
      },
      (err: unknown) =>
        deps.log.warn({ err }, "the service key's file cannot be read; keeping the old key"),
    );
  });
  return { key: () => current, stop };
}
