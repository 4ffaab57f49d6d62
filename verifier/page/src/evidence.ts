// What has been read of a bundle so far. What is absent could not be read, and some check said why.

import { unreached } from "./doubt.ts";
import type { Batch } from "./check/batch.ts";
import type { Proof } from "./check/log.ts";
import type { Manifest } from "./check/manifest.ts";
import type { File } from "./read/container.ts";
import type { Entry } from "./read/entry.ts";
import type { Note } from "./read/note.ts";
import type { Trust } from "./trust.ts";

/** An entry together with its proof. */
export interface Proven {
  entry: Entry;
  proof: Proof;
}

/** One bundle in the course of being checked. */
export class Evidence {
  files: File[] = [];
  readManifest: Manifest | null = null;
  readNote: Note | null = null;
  readEntries: Entry[] | null = null;
  readProofs: Proof[] | null = null;
  readBatches: Map<number, Batch> | null = null;

  constructor(
    readonly bytes: Uint8Array,
    readonly trust: Trust,
  ) {}

  file(name: string): Uint8Array {
    return this.files.find((file) => file.name === name)?.content ?? unreached(`file \`${name}\` is not there`);
  }

  get manifest(): Manifest {
    return this.readManifest ?? unreached("the manifest could not be read");
  }

  get note(): Note {
    return this.readNote ?? unreached("the checkpoint could not be read");
  }

  get entries(): Entry[] {
    return this.readEntries ?? unreached("the entries could not be read");
  }

  get batches(): Map<number, Batch> {
    return this.readBatches ?? unreached("the batch headers do not hold");
  }

  /** Every entry with its proof, in the order of the files. */
  get proven(): Proven[] {
    const entries = this.entries;
    const proofs = this.readProofs ?? unreached("the proofs could not be read");
    return entries.flatMap((entry, place) => {
      const proof = proofs[place];
      return proof ? [{ entry, proof }] : [];
    });
  }
}
