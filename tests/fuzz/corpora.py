#!/usr/bin/env python3
"""Carries a fuzzer's corpus between its folder of files, where cargo-fuzz looks, and the one file that is kept.

    corpora.py unpack TARGET      before a run: corpora/TARGET.txt to corpus/TARGET/
    corpora.py pack TARGET        after `cargo fuzz cmin TARGET`: back, as lines of hexadecimal digits, up to 17 KB
"""

import hashlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
KEPT_BYTES_MAX = 17_000


def main(verb, target):
    folder, kept = os.path.join(HERE, "corpus", target), os.path.join(HERE, "corpora", f"{target}.txt")
    os.makedirs(folder, exist_ok=True)
    if verb == "unpack":
        with open(kept, encoding="ascii") as file:
            for line in file:
                content = bytes.fromhex(line)
                with open(os.path.join(folder, hashlib.sha1(content).hexdigest()), "wb") as out:
                    out.write(content)
        return
    found = set()
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            found.add(file.read())
    found = sorted(found - {b""}, key=lambda content: (len(content), content))
    # Every so manieth of all, so that long ones are kept, too.
    step = -(-sum(map(len, found)) // KEPT_BYTES_MAX) or 1
    with open(kept, "w", encoding="ascii") as out:
        out.writelines(content.hex() + "\n" for content in found[::step])


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("pack", "unpack"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
