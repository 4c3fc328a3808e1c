// SPDX-License-Identifier: Apache-2.0
// The public door of @remex/store: names only, no code.

export {};
