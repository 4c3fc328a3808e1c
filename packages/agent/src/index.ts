// SPDX-License-Identifier: Apache-2.0
// The public door of @remex/agent: names only, no code.

export {};
