// SPDX-License-Identifier: Apache-2.0
// The public door of the health-monitor.
export {
  type BeatLink,
  createHealthMonitor,
  type HealthMonitor,
  type HealthMonitorDeps,
  type VerdictLink,
} from "./health-monitor.ts";
