// SPDX-License-Identifier: Apache-2.0
// About how large events for and of an agent are, so that frames are split and queues bounded by it.
import type { AgentEvent, ServerEvent } from "@remex/proto/agent/v1";
import type { TaskSpec } from "@remex/proto/common/v1";

const plainEventBytes = 96;
const offerBytes = 256;

/** About how many bytes the events take on the wire; exact enough for bounds. */
export function roughBytesOf(events: readonly ServerEvent[]): number {
  let bytes = 0;
  for (const { event } of events) {
    bytes += plainEventBytes;
    if (event.case === "offer") bytes += offerBytes + specBytes(event.value.spec);
    if (event.case === "inventoryAnswer") bytes += event.value.verdicts.length * plainEventBytes;
  }
  return bytes;
}

/** The same of what an agent said: its results and its triggers' events carry payloads. */
export function roughSaidBytesOf(events: readonly AgentEvent[]): number {
  let bytes = events.length * plainEventBytes;
  for (const { event } of events) {
    if (event.case === "triggerEvent") bytes += event.value.payload.length;
    else if (event.case === "report") bytes += event.value.outcome?.result.length ?? 0;
  }
  return bytes;
}

function specBytes(spec: TaskSpec | undefined): number {
  const work = spec?.work;
  switch (work?.case) {
    case "command":
      return textBytes(work.value.argv) + textBytes(Object.entries(work.value.env).flat());
    case "airflow":
      return textBytes([work.value.workloadJson, work.value.workloadToken]);
    case "trigger":
      return work.value.payload.length + work.value.secretPayload.length;
    case "bundle":
      return work.value.payload.length;
    default:
      return 0;
  }
}

function textBytes(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + text.length, 0);
}
