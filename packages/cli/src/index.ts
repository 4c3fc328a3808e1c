// SPDX-License-Identifier: Apache-2.0
// The public door of @remex/cli: names only, no code.

export { runCommand } from "./run.ts";
export type { World } from "./world.ts";
