// SPDX-License-Identifier: Apache-2.0
// The form of agent tokens and operator keys (SEC-T1), judged without any store (SEC-T2).

import { randomInt } from "node:crypto";
import { crc32 } from "node:zlib";

export type CredentialPrefix = "rmx" | "rmk";

export interface Credential {
  readonly prefix: CredentialPrefix;
  /** The 8 characters that may be shown. */
  readonly publicId: string;
  /** The whole text, to be shown once. */
  readonly value: string;
}

/** For secret scanners; docs/security.md publishes it. */
export const credentialPattern = /^(rmx|rmk)_([0-9A-Za-z]{8})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/;

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const publicIdLength = 8;
/** 43 of 62 characters carry a little more than 256 bits. */
const secretLength = 43;
const checksumLength = 6;

/** Makes a new credential from the system's random source. */
export function createCredential(prefix: CredentialPrefix): Credential {
  const publicId = randomText(publicIdLength);
  const body = `${prefix}_${publicId}_${randomText(secretLength)}`;
  return { prefix, publicId, value: `${body}${checksumOf(body)}` };
}

/** Reads a text that claims to be a credential of this kind; undefined when its form or checksum is wrong. */
export function parseCredential(prefix: CredentialPrefix, text: string): Credential | undefined {
  const match = credentialPattern.exec(text);
  const publicId = match?.[2];
  if (match?.[1] !== prefix || publicId === undefined) {
    return undefined;
  }
  const body = text.slice(0, -checksumLength);
  return text.endsWith(checksumOf(body)) ? { prefix, publicId, value: text } : undefined;
}

function randomText(length: number): string {
  let text = "";
  for (let index = 0; index < length; index += 1) {
    text += alphabet.charAt(randomInt(alphabet.length));
  }
  return text;
}

function checksumOf(body: string): string {
  let rest = crc32(body);
  let text = "";
  for (let index = 0; index < checksumLength; index += 1) {
    text = alphabet.charAt(rest % alphabet.length) + text;
    rest = Math.floor(rest / alphabet.length);
  }
  return text;
}
