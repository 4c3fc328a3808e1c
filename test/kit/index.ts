// SPDX-License-Identifier: Apache-2.0
// What tests share: real servers started for one test and the bounded poll.
export { startPrivateRedis } from "@remex/store/testing";
export {
  allRoles,
  type ControlPlane,
  type Layout,
  type Role,
  type RoleProcess,
  rolesApart,
  startControlPlane,
} from "./control-plane.ts";
export { createTempDir, findFreePort, type TempDir } from "./places.ts";
export { type Program, type ProgramOptions, startProgram } from "./program.ts";
export { type WaitOptions, waitFor } from "./wait.ts";
