// Bytes as text, in one spelling each: hex, base64, UTF-8. It never takes a lenient one.

import { fail, short } from "../doubt.ts";

/** Lower-case hex. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The bytes that so many lower-case hex digits stand for. */
export function unhex(text: string, bytes: number): Uint8Array {
  if (text.length !== 2 * bytes || !/^[0-9a-f]*$/.test(text)) {
    fail(`\`${short(text)}\` is not ${2 * bytes} lower-case hex digits`);
  }
  return Uint8Array.from({ length: bytes }, (_, place) => parseInt(text.slice(2 * place, 2 * place + 2), 16));
}

/** Standard base64, padded, its unused bits zero (RFC 4648). */
export function unbase64(text: string): Uint8Array {
  const wrong = (): never => fail(`\`${short(text)}\` is not canonical base64`);
  if (text.length % 4 !== 0) wrong();
  const digits = text.endsWith("==") ? text.slice(0, -2) : text.endsWith("=") ? text.slice(0, -1) : text;
  const bytes = new Uint8Array(Math.floor((digits.length * 3) / 4));
  let held = 0;
  let bits = 0;
  let filled = 0;
  for (const digit of digits) {
    const value = ALPHABET.indexOf(digit);
    if (value < 0) wrong();
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[filled++] = (held >> bits) & 0xff;
    }
  }
  if ((held & ((1 << bits) - 1)) !== 0) wrong();
  return bytes;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The text that these bytes are in UTF-8; a byte order mark is a character like any other. */
export function text(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return fail("not UTF-8");
  }
}

/** A text in UTF-8. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** All of these, one after the other. */
export function joined(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Whether both hold the same bytes. */
export function same(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, place) => byte === other[place]);
}

/** Order of two texts by their bytes in UTF-8, which is the order of their code points. */
export function byBytes(one: string, other: string): number {
  const [left, right] = [utf8(one), utf8(other)];
  for (let place = 0; place < Math.min(left.length, right.length); place++) {
    const apart = (left[place] ?? 0) - (right[place] ?? 0);
    if (apart !== 0) return apart;
  }
  return left.length - right.length;
}

/** The lines of a `.jsonl` file, each ended by one line feed, none empty. */
export function lines(content: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let start = 0; start < content.length; ) {
    const end = content.indexOf(10, start);
    if (end < 0) fail("the last line has no end");
    if (end === start) fail(`line ${found.length + 1} is empty`);
    found.push(content.subarray(start, end));
    start = end + 1;
  }
  return found;
}
