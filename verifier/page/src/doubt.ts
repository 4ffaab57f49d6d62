// How a check ends when it does not hold: the evidence is wrong, or it does not suffice. It decides nothing itself.

/** The evidence is not as its makers signed it. */
export class Fail extends Error {}

/** Nothing is wrong, but the question has no answer. */
export class Unable extends Error {}

/** What the reader brought along is no trust file, or no file at all: the question cannot be put. */
export class BadInput extends Error {}

/** Ends a check that was looking at something another check could not read. */
export function unreached(why: string): never {
  throw new Unable(`not reached: ${why}`);
}

/** Ends a check: the evidence is wrong. */
export function fail(what: string): never {
  throw new Fail(what);
}

/** Runs a reader, and tells the place in front of what it finds wrong. */
export function at<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (doubt) {
    if (doubt instanceof Fail) fail(`${place}: ${doubt.message}`);
    throw doubt;
  }
}

/** `1 entry`, `2 entries`. */
export function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}

/** The beginning of a text, fit to be quoted: bounded, without control characters. */
export function short(text: string): string {
  const all = Array.from(text);
  const shown = all.slice(0, 80).map((c) => (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(c) ? escaped(c) : c));
  return shown.join("") + (all.length > 80 ? "…" : "");
}

function escaped(c: string): string {
  return `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`;
}
