// SPDX-License-Identifier: Apache-2.0
// Rules of the protocol, each taken out of the real code by one patch at load; the simulation must notice.

export interface Patch {
  /** Path in the repository. */
  readonly file: string;
  /** Text that stands there exactly once. */
  readonly find: string;
  readonly replace: string;
}

export interface Mutant {
  readonly name: string;
  /** The rule that is gone. */
  readonly rule: string;
  readonly what: string;
  /** Why the simulation does not notice, where it does not. */
  readonly unnoticed?: string;
  readonly patches: readonly Patch[];
}

const task = "packages/store/src/task/functions";
const session = "packages/store/src/session/functions";
const agent = "packages/agent/src";

export const mutants: readonly Mutant[] = [
  {
    name: "no-result-fence",
    rule: "C2",
    what: "a result is taken whatever attempt it is of",
    patches: [
      {
        file: `${task}/settle_reports.lua`,
        find: "    elseif not row or row.stage == 'OFFERED' then",
        replace: "    elseif not read.attempt then",
      },
      {
        file: `${task}/settle_reports.lua`,
        find: "      answers[#answers + 1] = take(row, report, outcome)\n",
        replace: "      answers[#answers + 1] = take(read, report, outcome)\n",
      },
    ],
  },
  {
    name: "confirm-in-ended-session",
    rule: "S3",
    what: "an attempt is confirmed although its session is over or ending",
    unnoticed:
      "an accept would have to arrive within the milliseconds in which its session begins to end, and the agent's own checks (S4) keep what follows harmless",
    patches: [
      {
        file: `${task}/confirm_attempts.lua`,
        find: "  if v[1] ~= session or v[2] == 'ENDED' then return 'session_ended' end\n  if v[2] ~= 'OPEN' then return 'session_ending' end\n",
        replace: "",
      },
    ],
  },
  {
    name: "confirm-before-stored",
    rule: "S3",
    what: "the wire has the confirm although the store may not",
    patches: [
      {
        file: "services/scheduler/src/deployment-turns.ts",
        find: "    const groups = [...batch.accepts.values()];\n",
        replace:
          "    const groups = [...batch.accepts.values()];\n" +
          "    for (const { to, accepts } of groups)\n" +
          "      for (const { id, attempt } of accepts) outbox.tell(to, confirmEvent(id, attempt));\n",
      },
    ],
  },
  {
    name: "start-without-window-and-lease",
    rule: "S4",
    what: "agent and guard start what was confirmed long ago, without a lease",
    patches: [
      {
        file: `${agent}/session/attempts.ts`,
        find: "  if (nowMs >= windowUntilMs) {",
        replace: "  if (nowMs < 0) {",
      },
      {
        file: `${agent}/session/attempts.ts`,
        find: "  if (!leaseValid(state.lease, nowMs)) {",
        replace: "  if (nowMs < 0) {",
      },
      {
        file: `${agent}/session/attempts.ts`,
        find: 'if (held.stage.kind === "accepted" && nowMs >= held.stage.sentAtMs + windowMs) {',
        replace: 'if (held.stage.kind === "accepted" && windowMs < 0) {',
      },
      {
        file: `${agent}/runner/runner-machine.ts`,
        find: "  if (now.ms >= event.windowUntilMs) {",
        replace: "  if (now.ms < 0) {",
      },
      {
        file: `${agent}/runner/runner-machine.ts`,
        find: "  if (now.ms >= lease.untilMs) return",
        replace: "  if (now.ms < 0) return",
      },
    ],
  },
  {
    name: "beat-of-ended-session",
    rule: "L1",
    what: "a beat renews a session that is over",
    patches: [
      {
        file: `${session}/renew_leases.lua`,
        find: "  if row.state == 'ENDED' then return { kind = 'ended', reason = row.reason } end\n",
        replace: "",
      },
    ],
  },
  {
    name: "beat-of-ending-session",
    rule: "L8",
    what: "a beat renews a session that is ending",
    patches: [
      {
        file: `${session}/renew_leases.lua`,
        find: "  if row.state == 'ENDING' then return { kind = 'ending', reason = row.reason } end\n",
        replace: "",
      },
    ],
  },
  {
    name: "failed-after-one-beat",
    rule: "L2",
    what: "an agent fails after one missed beat",
    patches: [
      {
        file: `${session}/expire_leases.lua`,
        find: "  if age >= own.failed then\n",
        replace: "  if age >= own.degraded then\n",
      },
    ],
  },
  {
    name: "no-freeze",
    rule: "L3",
    what: "ages grow while nobody could hear the agents",
    patches: [
      {
        file: `${session}/prelude_clocks.lua`,
        find: "  if passed <= all.step then\n",
        replace: "  if passed <= all.step or true then\n",
      },
      {
        file: `${session}/prelude_clocks.lua`,
        find: "    if anew then\n",
        replace: "    if false then\n",
      },
    ],
  },
  {
    name: "lease-as-long-as-limit",
    rule: "T3",
    what: "the agent believes its lease for as long as the server waits, and longer",
    patches: [
      {
        file: "packages/domain/src/lease.ts",
        find: "    validUntilMs: countedFromMs + leaseMs,\n    acknowledged: event.sequence,",
        replace:
          "    validUntilMs: countedFromMs + leaseMs * 1.6,\n    acknowledged: event.sequence,",
      },
    ],
  },
  {
    name: "session-ends-at-once",
    rule: "L8",
    what: "a session whose token is revoked ends at once, and its work is dealt with",
    patches: [
      {
        file: `${session}/begin_ending.lua`,
        find: "  session.begin_ending(keys, agent, row, reason, limits, now)\n",
        replace: "  session.finish(keys, agent, row, reason, 'FAILED', now)\n",
      },
    ],
  },
  {
    name: "revocations-unheard",
    rule: "L7",
    what: "registries do nothing about revoked tokens",
    patches: [
      {
        file: "services/registry/src/registry.ts",
        find: "  async #endToken(deployment: string, token: string, reason: string): Promise<void> {\n",
        replace:
          "  async #endToken(deployment: string, token: string, reason: string): Promise<void> {\n    if (token !== '') return;\n",
      },
    ],
  },
  {
    name: "offer-to-unhealthy",
    rule: "I6",
    what: "the store offers to agents that are not healthy, and registries say that they may",
    patches: [
      {
        file: `${task}/claim_tasks.lua`,
        find: "  if v[4] ~= 'HEALTHY' then return 'not_healthy' end\n",
        replace: "",
      },
    ],
  },
  {
    name: "no-quarantine",
    rule: "D2",
    what: "offers go out at once after a failover or a wipe",
    patches: [
      {
        file: `${task}/prelude.lua`,
        find: "  call.quarantined = task.quarantined(call, config_key, fresh)\n",
        replace: "",
      },
    ],
  },
  {
    name: "no-adoption",
    rule: "D2",
    what: "running attempts that the store has forgotten are not adopted",
    unnoticed:
      "what is not adopted is killed (H3) before the quarantine ends: work is lost, and never doubled",
    patches: [
      {
        file: `${task}/reconcile_inventories.lua`,
        find: "    if current and not row and entry[3] ~= 'ACCEPTED' then row =",
        replace: "    if false then row =",
      },
    ],
  },
  {
    name: "attempt-without-epoch",
    rule: "T7",
    what: "attempts are numbered without the store's epoch",
    patches: [
      {
        file: `${task}/claim_tasks.lua`,
        find: "call.epoch .. '.' .. string.format('%.0f', last + i)",
        replace: "'1.' .. string.format('%.0f', last + i)",
      },
    ],
  },
  {
    name: "guard-without-limit",
    rule: "G1",
    what: "the guard does not stop ABORT work at the end of the lease",
    patches: [
      {
        file: `${agent}/runner/runner-machine.ts`,
        find: "      } else if (attempt.aborts && leaseEnded) {",
        replace: "      } else if (attempt.aborts && leaseEnded && now.ms < 0) {",
      },
    ],
  },
  {
    name: "guard-outlives-agent",
    rule: "G1",
    what: "the guard goes on when the agent's end has closed",
    patches: [
      {
        file: `${agent}/runner/process-runner.ts`,
        find: "    onAgentGone: () => shell.close(),",
        replace: "    onAgentGone: () => undefined,",
      },
    ],
  },
  {
    name: "reports-sent-once",
    rule: "C1",
    what: "a result that was not answered is not sent again",
    patches: [
      {
        file: `${agent}/session/attempts.ts`,
        find: 'if (held.stage.kind === "ended" && (all || turn.nowMs >= held.stage.dueAtMs)) {',
        replace: 'if (held.stage.kind === "ended" && all && turn.nowMs < 0) {',
      },
    ],
  },
  {
    name: "absent-before-its-time",
    rule: "S7",
    what: "what was confirmed after an inventory was made counts as absent from it",
    unnoticed:
      "inventories and accepts of an agent come in order and are carried out in it; only a confirm that the store did not answer is carried out late",
    patches: [
      {
        file: `${task}/reconcile_inventories.lua`,
        find: "  elseif row.session == session and sequence < row.sequence then\n    return\n",
        replace: "",
      },
    ],
  },
  {
    name: "held-for-ever",
    rule: "H1",
    what: "work of a lost agent is held without end",
    patches: [
      {
        file: `${task}/prelude_holds.lua`,
        find: "  return ended_at + tonumber(lost_after)\n",
        replace: "  return math.huge\n",
      },
    ],
  },
  {
    name: "nothing-given-up",
    rule: "H2",
    what: "what ended sessions held is not given up",
    patches: [
      {
        file: "services/scheduler/src/sweeps.ts",
        find: "  async function giveUpAll(deployment: string): Promise<void> {\n",
        replace:
          "  async function giveUpAll(deployment: string): Promise<void> {\n    if (deployment !== '') return;\n",
      },
    ],
  },
  {
    name: "offers-stand-for-ever",
    rule: "S5",
    what: "offers that nobody answers do not expire",
    patches: [
      {
        file: `${task}/expire_offers.lua`,
        find: "  if row.state == 'ASSIGNED' and row.stage == 'OFFERED' then\n",
        replace: "  if row.state == 'NEVER' then\n",
      },
    ],
  },
  {
    name: "no-recovery-cap",
    rule: "I20",
    what: "lost work is queued again without end",
    patches: [
      {
        file: `${task}/prelude.lua`,
        find: "  if tonumber(v[2] or 0) < tonumber(v[3] or 3) then return 'QUEUED', 'recoveries', nil end\n",
        replace: "  if true then return 'QUEUED', 'recoveries', nil end\n",
      },
    ],
  },
  {
    name: "no-slot-count",
    rule: "S8",
    what: "neither the store nor the agent counts reserved slots",
    patches: [
      {
        file: `${agent}/session/attempts.ts`,
        find: "  if (offer.facts.slotCost > free) {",
        replace: "  if (offer.facts.slotCost > 1_000_000) {",
      },
      {
        file: `${task}/claim_tasks.lua`,
        find: "candidate[3] - tonumber(redis.call('HGET', held, 'slots') or 0) or 0",
        replace: "candidate[3] or 0",
      },
    ],
  },
  {
    name: "stale-report-counts",
    rule: "C3",
    what: "a refused report changes the task",
    patches: [
      {
        file: `${task}/settle_reports.lua`,
        find: "  redis.call('HINCRBY', row.key, 'staleReports', 1)\n",
        replace: "  redis.call('HSET', row.key, 'reason', 'stale')\n",
      },
    ],
  },
  {
    name: "held-work-not-bound",
    rule: "H1",
    what: "a returning agent's work is not bound to its new session",
    unnoticed:
      "a result is taken in whichever session (C2), and a second copy of CONTINUE work is allowed once lost_after has passed",
    patches: [
      {
        file: `${task}/reconcile_inventories.lua`,
        find: "  task.bind(call, row, session)\n  return 'KEEP'\n",
        replace: "  return 'KEEP'\n",
      },
    ],
  },
];
