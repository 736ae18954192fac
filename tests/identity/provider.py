"""An OpenID provider that does what it is told: right, or wrong in one way at a time. Only the standard library."""
import base64
import hashlib
import json
import secrets
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jose

CLIENT, SECRET = "flow", "a secret: with %, & and /"


class Provider:
    """`fault` names what is wrong now; `person` is who logs in. `seen` counts the requests of each path."""

    def __init__(self):
        self.keys = [jose.Key("k1")]
        self.fault, self.seen, self.codes, self.tokens = "", {}, {}, []
        self.person = {"sub": "auth0|1", "email": "anna@example.com", "email_verified": True, "name": "Anna"}
        self.hold = threading.Event()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                provider.get(self)

            def do_POST(self):
                provider.post(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, address):
                if not isinstance(sys.exc_info()[1], OSError):             # a client that went away is none of ours
                    super().handle_error(request, address)

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request, status, body, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request.send_response(status)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(data))), *headers):
            request.send_header(name, value)
        request.end_headers()
        try:
            request.wfile.write(data)
        except OSError:
            pass

    def note(self, path):
        self.seen[path] = self.seen.get(path, 0) + 1

    def get(self, request):
        path, _, query = request.path.partition("?")
        self.note(path)
        if path == "/.well-known/openid-configuration":
            self.discovery(request)
        elif path == "/jwks":
            if self.fault == "jwks 500":
                return self.answer(request, 500, {})
            self.answer(request, 200, {"keys": [key.jwk() for key in self.keys]})
        elif path == "/authorize":
            self.authorize(request, dict(urllib.parse.parse_qsl(query, strict_parsing=True)))
        else:
            self.answer(request, 404, {})

    def discovery(self, request):
        if self.fault == "discovery 500":
            return self.answer(request, 500, {})
        document = {"issuer": self.url, "authorization_endpoint": self.url + "/authorize", "token_endpoint": self.url + "/token", "jwks_uri": self.url + "/jwks",
                    "token_endpoint_auth_methods_supported": ["client_secret_basic"]}
        changes = {"discovery of another issuer": {"issuer": self.url + "/"}, "endpoint elsewhere without TLS": {"token_endpoint": "http://login.example/token"},
                   "endpoint that is no URL": {"token_endpoint": "/token"}, "secret in the body": {"token_endpoint_auth_methods_supported": ["client_secret_post"]},
                   "says its issuer": {"authorization_response_iss_parameter_supported": True}}
        document.update(changes.get(self.fault, {}))
        text = json.dumps(document)
        if self.fault == "discovery with a key twice":
            text = text[:-1] + ', "issuer": "https://evil.example"}'
        self.answer(request, 200, text.encode())

    def authorize(self, request, query):
        assert query["response_type"] == "code" and query["client_id"] == CLIENT and query["code_challenge_method"] == "S256", query
        assert len(query["state"]) >= 43 and len(query["nonce"]) >= 43 and len(query["code_challenge"]) == 43, query
        code = secrets.token_urlsafe(24)
        self.codes[code] = query
        back = query["redirect_uri"] + "?" + urllib.parse.urlencode({"code": code, "state": query["state"]})
        self.answer(request, 302, b"", [("Location", back)])

    def post(self, request):
        self.note(request.path)
        form = dict(urllib.parse.parse_qsl(request.rfile.read(int(request.headers["Content-Length"])).decode()))
        if self.fault == "token 500":
            return self.answer(request, 500, {"error": "server_error"})
        if self.fault == "token hangs":
            self.hold.wait(60)
            return
        if self.fault == "token huge":
            return self.answer(request, 200, b'{"id_token": "' + b"A" * (2 << 20) + b'"}')
        if self.fault == "token is no JSON":
            return self.answer(request, 200, b"id_token=abc")
        query = self.codes.pop(form.get("code", ""), None)
        if not query or not self.client_ok(request, form) or form["grant_type"] != "authorization_code" or form["redirect_uri"] != query["redirect_uri"]:
            return self.answer(request, 400, {"error": "invalid_grant"})
        challenge = jose.b64url(hashlib.sha256(form["code_verifier"].encode()).digest())
        if challenge != query["code_challenge"]:
            return self.answer(request, 400, {"error": "invalid_grant", "error_description": "PKCE"})
        answer = {"access_token": "at", "token_type": "Bearer", "id_token": self.id_token(query)}
        if self.fault == "no ID token":
            del answer["id_token"]
        self.answer(request, 200, answer)

    def client_ok(self, request, form):
        if self.fault == "secret in the body":
            return form.get("client_id") == CLIENT and form.get("client_secret") == SECRET and "Authorization" not in request.headers
        name, _, secret = base64.b64decode(request.headers.get("Authorization", "Basic ")[6:]).decode().partition(":")
        return urllib.parse.unquote(name) == CLIENT and urllib.parse.unquote(secret) == SECRET and "client_secret" not in form

    def id_token(self, query):
        now, fault, key = int(time.time()), self.fault, self.keys[0]
        claims = {"iss": self.url, "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": query["nonce"], **self.person}
        changes = {
            "another issuer": {"iss": self.url + "/"}, "another audience": {"aud": "other"}, "audience among others without azp": {"aud": [CLIENT, "other"]},
            "azp of somebody else": {"azp": "other"}, "another nonce": {"nonce": query["nonce"][:-1] + ("A" if query["nonce"][-1] != "A" else "B")},
            "nonce of another type": {"nonce": [query["nonce"]]}, "expired": {"exp": now - 31, "iat": now - 600}, "issued in the future": {"iat": now + 90},
            "not valid yet": {"nbf": now + 90}, "no subject": {"sub": ""}, "subject that is no text": {"sub": 7}, "address with a line break": {"email": "a@b\nc"},
            "address not verified": {"email_verified": False}, "address said to be verified": {"email_verified": "true"},
            "two audiences and azp": {"aud": [CLIENT, "other"], "azp": CLIENT},
        }
        claims.update(changes.get(fault, {}))
        for missing in ("nonce", "exp", "iat", "aud", "iss", "sub", "email"):
            if fault == "no " + missing:
                del claims[missing]
        if fault == "alg none":
            return jose.unsigned(claims)
        if fault == "signed with the client's secret":
            return jose.hs256(SECRET.encode(), claims)
        if fault == "signed with the public key as a secret":
            return jose.hs256(json.dumps(key.jwk()).encode(), claims, kid=key.kid)
        if fault == "another key under the same name":
            return jose.es256(jose.Key(key.kid), claims)
        if fault == "a key of its own in the header":
            other = jose.Key("other")
            return jose.es256(other, claims, jwk=other.jwk())
        if fault == "a critical header":
            return jose.es256(key, claims, crit=["exp"])
        if fault == "an access token":
            return jose.es256(key, claims, typ="at+jwt")
        if fault == "a claim twice":
            text = json.dumps(claims)
            return jose.es256(key, text[:-1] + ', "sub": "auth0|admin"}')
        if fault == "signature cut short":
            return jose.es256(key, claims)[:-8]
        return jose.es256(key, claims)
