// SPDX-License-Identifier: Apache-2.0
// An agent as people see it, made of its record in the store.
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { agentHealths, decideMaintenance, maintenanceStates, refToWire } from "@remex/domain";
import { type Agent, AgentSchema } from "@remex/proto/registry/v1";
import type { SessionRecord } from "@remex/store";
import { availabilityToWire, capabilitiesToWire, kindToWire } from "../session/session-wire.ts";

/** `nowMs` is the store's time at which the record was read. */
export function agentMessage(deployment: string, record: SessionRecord, nowMs: number): Agent {
  const maintenance = decideMaintenance(record.softwareVersion, nowMs);
  return create(AgentSchema, {
    deployment,
    agent: record.agent,
    kind: kindToWire(record.kind),
    capabilities: capabilitiesToWire(record),
    health: agentHealths.indexOf(record.health),
    healthReason: record.healthReason,
    healthSince: timestampFromMs(record.healthSinceMs),
    availability: availabilityToWire(record.availability),
    session: refToWire(record.session),
    ...(record.beaten
      ? {
          heartbeatAge: durationFromMs(Math.max(0, nowMs - record.beatAtMs)),
          lastHeartbeatAt: timestampFromMs(record.beatAtMs),
        }
      : {}),
    slotsUsed: record.slotsUsed,
    softwareVersion: record.softwareVersion,
    hostname: record.hostname,
    address: record.address,
    registry: record.registry,
    token: record.token,
    sessionSince: timestampFromMs(record.openedAtMs),
    ...(record.conflictAtMs > 0 ? { conflictAt: timestampFromMs(record.conflictAtMs) } : {}),
    staleReports: record.staleReports,
    availabilityNote: record.controlNote,
    ...(record.drainAtMs > 0
      ? { drainRemaining: durationFromMs(Math.max(0, record.drainAtMs - nowMs)) }
      : {}),
    tasksHeld: record.tasksHeld,
    maintenance: maintenanceStates.indexOf(maintenance.state),
    ...(maintenance.state === "UNSPECIFIED"
      ? {}
      : { maintainedUntil: timestampFromMs(maintenance.untilMs) }),
  });
}
