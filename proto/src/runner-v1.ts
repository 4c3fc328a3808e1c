// SPDX-License-Identifier: Apache-2.0
// The public door of remex.runner.v1: everything generated from its files.
export * from "./generated/remex/runner/v1/runner_pb.js";
