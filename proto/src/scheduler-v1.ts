// SPDX-License-Identifier: Apache-2.0
// The public door of remex.scheduler.v1: everything generated from its files.
export * from "./generated/remex/scheduler/v1/scheduler_link_service_pb.js";
export * from "./generated/remex/scheduler/v1/task_pb.js";
export * from "./generated/remex/scheduler/v1/task_service_pb.js";
