// SPDX-License-Identifier: Apache-2.0
// What tests share: real servers started for one test and the bounded poll.

export {};
