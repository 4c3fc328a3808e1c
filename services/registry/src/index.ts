// SPDX-License-Identifier: Apache-2.0
// The public door of the registry.
export type { MonitorLink } from "./links/beat-relay.ts";
export type { SchedulerLink } from "./links/work-relay.ts";
export {
  createManagement,
  type Management,
  type ManagementDeps,
} from "./management/management.ts";
export { createRegistry, type Registry, type RegistryDeps } from "./registry.ts";
