// SPDX-License-Identifier: Apache-2.0
// The public door of remex.common.v1: everything generated from its files.
export * from "./generated/remex/common/v1/access_pb.js";
export * from "./generated/remex/common/v1/error_detail_pb.js";
export * from "./generated/remex/common/v1/identity_pb.js";
export * from "./generated/remex/common/v1/trigger_pb.js";
export * from "./generated/remex/common/v1/work_pb.js";
