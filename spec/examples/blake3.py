"""BLAKE3 after its paper, section 2, for digests of 32 bytes. Slow, and only for checking."""
import struct

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
MIX = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
START, END, PARENT, ROOT = 1, 2, 4, 8

def compress(chain, block, counter, length, flags):
    """The next chaining value: eight words."""
    v = [*chain, *IV[:4], counter & 0xFFFFFFFF, counter >> 32, length, flags]
    words = struct.unpack("<16I", block.ljust(64, b"\0"))
    for _ in range(7):
        for at, (a, b, c, d) in enumerate(MIX):
            for word, turn, half in (words[2 * at], 16, 12), (words[2 * at + 1], 8, 7):
                v[a] = (v[a] + v[b] + word) & 0xFFFFFFFF
                x = v[d] ^ v[a]; v[d] = x >> turn | (x << 32 - turn) & 0xFFFFFFFF
                v[c] = (v[c] + v[d]) & 0xFFFFFFFF
                x = v[b] ^ v[c]; v[b] = x >> half | (x << 32 - half) & 0xFFFFFFFF
        words = [words[at] for at in ORDER]
    return [v[at] ^ v[at + 8] for at in range(8)]

def chunk(data, counter, root):
    """Up to 1,024 bytes, block by block."""
    chain, blocks = IV, [data[at:at + 64] for at in range(0, len(data), 64)] or [b""]
    for at, block in enumerate(blocks):
        last = at == len(blocks) - 1
        chain = compress(chain, block, counter, len(block), START * (at == 0) | (END | root) * last)
    return chain

def tree(data, first=0, root=ROOT):
    """The left child of a node holds the largest whole tree that leaves something to the right."""
    if len(data) <= 1024: return chunk(data, first, root)
    left = 1 << ((len(data) - 1) // 1024).bit_length() - 1
    both = tree(data[:left * 1024], first, 0) + tree(data[left * 1024:], first + left, 0)
    return compress(IV, struct.pack("<16I", *both), 0, 64, PARENT | root)

def blake3(data):
    """The digest of these bytes."""
    return struct.pack("<8I", *tree(data))
