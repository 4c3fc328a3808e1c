// SPDX-License-Identifier: Apache-2.0
// The public door of @remex/health-monitor: names only, no code.

export {};
