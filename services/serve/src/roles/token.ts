// SPDX-License-Identifier: Apache-2.0
// The token service as a role: its pepper, its first admin key, its count of malformed credentials.

import { join } from "node:path";
import {
  createTokenService,
  ensureBootstrapKey,
  loadPeppers,
  requireOwnPeppers,
} from "@remex/token";
import type { Role, RoleContext } from "./role.ts";

export async function createTokenRole(context: RoleContext): Promise<Role> {
  const { config, records, clock, log } = context;
  const pepperFile = join(config.dataDir, "pepper");
  const peppers = await loadPeppers(pepperFile);
  await requireOwnPeppers(records, peppers, pepperFile);
  const written = await ensureBootstrapKey({ records, peppers, clock, dataDir: config.dataDir });
  if (written !== undefined) {
    log.info({ file: written }, "the first admin key was written");
  }
  const malformed = context.metrics.counter(
    "credentials_malformed_total",
    "Credentials refused for their form or checksum, before any read, by kind.",
    ["kind"],
  );
  const service = createTokenService({
    records,
    peppers,
    clock,
    log,
    onMalformed: (kind) => malformed.inc({ kind }),
  });
  return {
    role: "token",
    routes: service.routes,
    start: async () => {
      service.start();
      return {};
    },
    stop: () => service.stop(),
    problems: () => [],
  };
}
