// SPDX-License-Identifier: Apache-2.0
// Rendezvous hashing: which of the living peers serves a key, with few keys moving when peers change.

/** The id with the greatest score for the key; undefined when there is none to choose from. */
export function chooseByRendezvous(key: string, ids: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestScore = -1;
  for (const id of ids) {
    const score = scoreOf(key, id);
    if (score > bestScore || (score === bestScore && best !== undefined && id < best)) {
      best = id;
      bestScore = score;
    }
  }
  return best;
}

// FNV-1a, then the finalizer of MurmurHash3: FNV alone leaves similar ids with similar high bits.
function scoreOf(key: string, id: string): number {
  let hash = 0x811c9dc5;
  const text = `${id}\0${key}`;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
