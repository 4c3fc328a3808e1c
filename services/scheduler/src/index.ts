// SPDX-License-Identifier: Apache-2.0
// The public door of the scheduler.
export type { AuditNote } from "./refused-reports.ts";
export { createScheduler, type Scheduler, type SchedulerDeps } from "./scheduler.ts";
export {
  noMetrics,
  type SchedulerMetrics,
  type StoreCallKind,
} from "./scheduler-metrics.ts";
export { type MonitorPeers, verdictHello } from "./verdict-links.ts";
