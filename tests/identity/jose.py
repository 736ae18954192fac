"""JSON Web Signatures in plain Python: ES256 and HS256, so that tokens are made by somebody else than the program under test."""
import base64
import hashlib
import hmac
import json
import secrets

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296, 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def add(a, b):
    if a is None:
        return b
    if b is None:
        return a
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k, point):
    out = None
    while k:
        if k & 1:
            out = add(out, point)
        point = add(point, point)
        k >>= 1
    return out


class Key:
    """A P-256 key pair."""

    def __init__(self, kid, jwk=None):
        self.kid = kid
        self.d = int.from_bytes(unb64url(jwk["d"]), "big") if jwk else secrets.randbelow(N - 1) + 1
        self.point = times(self.d, G)

    def jwk(self):
        return {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid, "x": b64url(self.point[0].to_bytes(32, "big")), "y": b64url(self.point[1].to_bytes(32, "big"))}

    def sign(self, data):
        z = int.from_bytes(hashlib.sha256(data).digest(), "big")
        while True:
            k = secrets.randbelow(N - 1) + 1
            r = times(k, G)[0] % N
            s = pow(k, -1, N) * (z + r * self.d) % N
            if r and s:
                return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def compact(header, payload, signature):
    """`payload` as an object or as raw text; `signature` a function of the signed bytes."""
    text = payload if isinstance(payload, str) else json.dumps(payload)
    signed = b64url((header if isinstance(header, str) else json.dumps(header)).encode()) + "." + b64url(text.encode())
    return signed + "." + b64url(signature(signed.encode()))


def es256(key, payload, typ="JWT", **header):
    return compact({"alg": "ES256", "kid": key.kid, "typ": typ, **header}, payload, key.sign)


def hs256(secret, payload, typ="JWT", **header):
    return compact({"alg": "HS256", "typ": typ, **header}, payload, lambda data: hmac.new(secret, data, hashlib.sha256).digest())


def unsigned(payload, alg="none", typ="JWT"):
    return compact({"alg": alg, "typ": typ}, payload, lambda data: b"")


def payload_of(token):
    return json.loads(unb64url(token.split(".")[1]))
