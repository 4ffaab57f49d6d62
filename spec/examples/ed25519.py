"""Ed25519 after RFC 8032, section 5.1, strictly: one answer for all verifiers. Slow, and only for checking."""
import hashlib

P, L, ZERO = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493, (0, 1)
D, I = -121665 * pow(121666, -1, P) % P, pow(2, (P - 1) // 4, P)

def point(code):
    """The point that 32 bytes stand for; none where they are not its one encoding."""
    y, odd = int.from_bytes(code, "little") & (1 << 255) - 1, code[31] >> 7
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    x = x if v * x * x % P == u else x * I % P
    if y >= P or len(code) != 32 or v * x * x % P != u or (odd and not x): return None
    return (x if x & 1 == odd else P - x), y

def add(p, q):
    k = D * p[0] * q[0] * p[1] * q[1]
    return (p[0] * q[1] + q[0] * p[1]) * pow(1 + k, -1, P) % P, (p[1] * q[1] + p[0] * q[0]) * pow(1 - k, -1, P) % P

def times(n, p):
    return ZERO if n == 0 else add(times(n - 1, p), p) if n & 1 else times(n // 2, add(p, p))

def sound(code):
    """Whether this is a point, and not one of small order."""
    return (p := point(code)) is not None and times(8, p) != ZERO

def signed(key, text, signature):
    """Whether this key made this signature."""
    if len(signature) != 64 or not (sound(key) and sound(signature[:32])): return False
    r, s, a = point(signature[:32]), int.from_bytes(signature[32:], "little"), point(key)
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % L
    base = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    return s < L and times(s, base) == add(r, times(h, a))
