// SPDX-License-Identifier: Apache-2.0
// The public door of @remex/scheduler: names only, no code.

export {};
