// The one possible zip for given names and contents (container.md): reads it, rebuilds it, compares. It unpacks nothing.

import { fail } from "../doubt.ts";
import { same, utf8 } from "./bytes.ts";

/** One file inside; its content is a view into the container. */
export interface File {
  name: string;
  content: Uint8Array;
}

/** Walks the local records and takes names and contents, believing no other field. */
export function open(bytes: Uint8Array): File[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const files: File[] = [];
  for (let at = 0; begins(bytes, at, LOCAL); ) {
    const place = files.length + 1;
    if (files.length === FILES_MAX) fail(`more than ${FILES_MAX} files`);
    const cut = (): never => fail(`the container ends within file ${place}`);
    if (at + LOCAL_LENGTH > bytes.length) cut();
    const named = at + LOCAL_LENGTH + view.getUint16(at + 26, true);
    const end = named + view.getUint32(at + 18, true);
    if (end > bytes.length) cut();
    const name = String.fromCharCode(...bytes.subarray(at + LOCAL_LENGTH, named));
    if (!/^[A-Za-z0-9._/-]{1,255}$/.test(name)) fail(`file ${place} has no proper name`);
    if ((files.at(-1)?.name ?? "") >= name) fail(`file \`${name}\` is not in ascending order of names`);
    files.push({ name, content: bytes.subarray(named, end) });
    at = end;
  }
  return files.length > 0 ? files : fail("not a container: it does not begin with the record of a file");
}

/** Compares the bytes at hand with the one container of these files. */
export function mustEqual(files: File[], bytes: Uint8Array): void {
  let at = 0;
  const next = (piece: Uint8Array): void => {
    const here = bytes.subarray(at, at + piece.length);
    if (!same(here, piece)) {
      const apart = piece.findIndex((byte, place) => byte !== here[place]);
      fail(`differs from the one zip of its contents at byte ${at + apart}`);
    }
    at += piece.length;
  };
  const directory: Uint8Array[] = [];
  for (const { name, content } of files) {
    const [offset, length] = [at, [...two(name.length)]];
    const shared = [...two(10), 0, 0, 0, 0, 0, 0, ...two(33), ...four(crc32(content))];
    shared.push(...four(content.length), ...four(content.length), ...length);
    next(Uint8Array.of(...LOCAL, ...shared, 0, 0));
    next(utf8(name));
    next(content);
    directory.push(Uint8Array.of(...CENTRAL, ...two(10), ...shared, ...ZEROS, ...four(offset)), utf8(name));
  }
  const start = at;
  directory.forEach(next);
  const counted = [...two(files.length), ...two(files.length)];
  next(Uint8Array.of(...END, 0, 0, 0, 0, ...counted, ...four(at - start), ...four(start), 0, 0));
  if (at !== bytes.length) fail(`${bytes.length - at} bytes follow the end`);
}

function begins(bytes: Uint8Array, at: number, magic: number[]): boolean {
  return magic.every((byte, place) => bytes[at + place] === byte);
}

function two(number: number): number[] {
  return [number & 0xff, number >>> 8];
}

function four(number: number): number[] {
  if (number >= 0xffffffff) fail(`${number} bytes do not fit into a container`);
  return [number & 0xff, (number >>> 8) & 0xff, (number >>> 16) & 0xff, number >>> 24];
}

/** CRC-32, ISO-HDLC. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0);
  return ~crc >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, number) => {
  let crc = number;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  return crc;
});
const LOCAL = [0x50, 0x4b, 3, 4];
const CENTRAL = [0x50, 0x4b, 1, 2];
const END = [0x50, 0x4b, 5, 6];
const ZEROS = Array<number>(12).fill(0);
const LOCAL_LENGTH = 30;
const FILES_MAX = 65_534;
