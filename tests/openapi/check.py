#!/usr/bin/env python3
"""check.py BUILD - `flowc openapi` of programs of the tree gives documents that keep the rules of OpenAPI 3.1.

Checked here: what the standard says of each object used (which members there must be and of which kind, no others but x-…), that every reference leads
somewhere, that parameters of a path are those of its address, that operations have ids of their own, that addresses differ in more than the names of
their parameters, and that schemas use words of JSON Schema 2020-12 in the way it has them. A document broken on purpose in each of these ways is refused.
"""
import copy
import json
import re
import subprocess
import sys

METHODS = {"get", "put", "post", "delete", "patch"}
TYPES = {"null", "boolean", "object", "array", "number", "string", "integer"}
COMPONENT = re.compile(r"^[a-zA-Z0-9._-]+$")
# object: (members that must be there, members that may be)
OBJECTS = {
    "document": ({"openapi", "info", "paths"}, {"components", "servers"}),
    "info": ({"title", "version"}, {"description", "summary"}),
    "server": ({"url"}, {"description"}),
    "operation": ({"operationId", "responses"}, {"summary", "description", "security", "parameters", "requestBody"}),
    "parameter": ({"name", "in", "schema"}, {"required", "description"}),
    "body": ({"content"}, {"required", "description"}),
    "media": (set(), {"schema"}),
    "response": ({"description"}, {"content", "headers"}),
    "components": (set(), {"schemas", "responses", "parameters", "securitySchemes"}),
    "scheme": ({"type"}, {"scheme", "bearerFormat", "description"}),
}
SCHEMA_WORDS = {"type", "format", "properties", "required", "additionalProperties", "items", "enum", "anyOf", "default", "examples", "contentEncoding", "$ref", "maxLength"}


class Wrong(Exception):
    pass


def want(holds, place, text):
    if not holds:
        raise Wrong(f"{place}: {text}")


def members(kind, value, place):
    needed, allowed = OBJECTS[kind]
    want(isinstance(value, dict), place, f"a {kind} is an object")
    want(needed <= value.keys(), place, f"a {kind} needs {sorted(needed - value.keys())}")
    extra = {name for name in value if not name.startswith("x-")} - needed - allowed
    want(not extra, place, f"a {kind} has no {sorted(extra)}")


class Document:
    def __init__(self, document):
        self.document = document
        self.ids = set()

    def resolve(self, value, place):
        if not isinstance(value, dict) or "$ref" not in value:
            return value
        at = self.document
        want(value["$ref"].startswith("#/"), place, "a reference stays in the document")
        for step in value["$ref"][2:].split("/"):
            want(isinstance(at, dict) and step in at, place, f"{value['$ref']} leads nowhere")
            at = at[step]
        return at

    def schema(self, schema, place):
        want(isinstance(schema, dict), place, "a schema is an object")
        extra = {word for word in schema if not word.startswith("x-")} - SCHEMA_WORDS
        want(not extra, place, f"no words of a schema: {sorted(extra)}")
        self.resolve(schema, place)
        types = schema.get("type", [])
        types = types if isinstance(types, list) else [types]
        want(set(types) <= TYPES, place, f"no types: {types}")
        for name, inner in schema.get("properties", {}).items():
            self.schema(inner, f"{place}.{name}")
        want(set(schema.get("required", [])) <= schema.get("properties", {}).keys(), place, "what is required has to be a property")
        want(len(set(schema.get("required", []))) == len(schema.get("required", [])), place, "required twice")
        if "items" in schema:
            self.schema(schema["items"], place + "[]")
        if isinstance(schema.get("additionalProperties"), dict):
            self.schema(schema["additionalProperties"], place + "{}")
        for inner in schema.get("anyOf", []):
            self.schema(inner, place + "|")
        want("enum" not in schema or (schema["enum"] and len(set(schema["enum"])) == len(schema["enum"])), place, "an enum has members, each once")
        want("array" not in types or "items" in schema, place, "an array says of what")

    def content(self, content, place):
        for media, value in content.items():
            want(re.match(r"^[a-z]+/[a-z0-9.+-]+$", media), place, f"no media type: {media}")
            members("media", value, f"{place} {media}")
            if "schema" in value:
                self.schema(value["schema"], f"{place} {media}")
            if "x-result" in value:
                self.schema(value["x-result"], f"{place} {media} x-result")

    def parameters(self, address, parameters, place):
        seen = set()
        for number, given in enumerate(parameters):
            parameter = self.resolve(given, place)
            here = f"{place} parameter {number}"
            members("parameter", parameter, here)
            want(parameter["in"] in {"path", "query", "header"}, here, "a parameter is in the path, the query or a header")
            want((parameter["name"], parameter["in"]) not in seen, here, f"`{parameter['name']}` is there twice")
            seen.add((parameter["name"], parameter["in"]))
            want(parameter["in"] != "path" or parameter.get("required") is True, here, "a parameter of the path is required")
            self.schema(parameter["schema"], here)
        in_path = {name for name, where in seen if where == "path"}
        want(in_path == set(re.findall(r"{([^}]+)}", address)), place, f"the address has other parameters than {sorted(in_path)}")

    def responses(self, responses, place):
        want(any(status.startswith("2") for status in responses), place, "no answer of success")
        for status, given in responses.items():
            want(re.match(r"^[1-5][0-9][0-9]$", status), place, f"no status: {status}")
            response = self.resolve(given, f"{place} {status}")
            members("response", response, f"{place} {status}")
            self.content(response.get("content", {}), f"{place} {status}")

    def operation(self, address, method, operation):
        place = f"{method} {address}"
        want(method in METHODS, place, "no method")
        members("operation", operation, place)
        want(operation["operationId"] not in self.ids, place, "its operationId is another's")
        self.ids.add(operation["operationId"])
        self.parameters(address, operation.get("parameters", []), place)
        if "requestBody" in operation:
            want(method not in {"get", "delete"}, place, "has no body")
            members("body", operation["requestBody"], place)
            self.content(operation["requestBody"]["content"], place)
        self.responses(operation["responses"], place)
        schemes = self.document.get("components", {}).get("securitySchemes", {})
        for given in operation.get("security", []):
            for name, scopes in given.items():
                want(name in schemes, place, f"no security scheme `{name}`")
                want(all(isinstance(scope, str) for scope in scopes), place, "scopes are texts")

    def components(self, components):
        members("components", components, "components")
        for section, entries in components.items():
            for name in entries:
                want(COMPONENT.match(name), section, f"no name of a component: {name}")
        for name, schema in components.get("schemas", {}).items():
            self.schema(schema, f"schema {name}")
        for name, response in components.get("responses", {}).items():
            members("response", response, f"response {name}")
            self.content(response.get("content", {}), f"response {name}")
        for name, scheme in components.get("securitySchemes", {}).items():
            members("scheme", scheme, f"security scheme {name}")
            want(scheme["type"] != "http" or "scheme" in scheme, name, "a scheme of type http names it")

    def check(self):
        document = self.document
        members("document", document, "document")
        want(re.match(r"^3\.1\.\d+$", document["openapi"]), "openapi", "not 3.1")
        members("info", document["info"], "info")
        for server in document.get("servers", []):
            members("server", server, "server")
        shapes = {}
        for address, item in document["paths"].items():
            want(address.startswith("/"), address, "an address begins with /")
            shape = re.sub(r"{[^}]+}", "{}", address)
            want(shape not in shapes, address, f"is {shapes.get(shape)} with other names")
            shapes[shape] = address
            for method, operation in item.items():
                self.operation(address, method, operation)
        self.components(document.get("components", {}))


def without(document, *path):
    at = document
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]


def put(document, value, *path):
    at = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value


FIND = ("paths", "/api/v1/cities/{city}/trips", "get")
TRIP = ("paths", "/api/v1/trips/{id}")
FAULTS = [
    ("no info", lambda d: without(d, "info")),
    ("another version", lambda d: put(d, "3.0.3", "openapi")),
    ("no description", lambda d: without(d, "components", "responses", "invalid", "description")),
    ("a lost schema", lambda d: without(d, "components", "schemas", "Seat")),
    ("a lost response", lambda d: without(d, "components", "responses", "denied")),
    ("a parameter too few", lambda d: without(d, *FIND, "parameters", 0)),
    ("an optional segment", lambda d: without(d, *FIND, "parameters", 0, "required")),
    ("an id twice", lambda d: put(d, "get_trip", *FIND, "operationId")),
    ("one shape twice", lambda d: put(d, {}, "paths", "/api/v1/trips/{other}")),
    ("a body of GET", lambda d: put(d, {"content": {}}, *FIND, "requestBody")),
    ("an unknown scheme", lambda d: put(d, [{"basic": []}], *FIND, "security")),
    ("no answers", lambda d: put(d, {}, *FIND, "responses")),
    ("a type that is none", lambda d: put(d, "decimal", "components", "schemas", "Trip", "properties", "price", "type")),
    ("required and not there", lambda d: put(d, ["nobody"], "components", "schemas", "Seat", "required")),
    ("a list of nothing", lambda d: without(d, "components", "schemas", "Trip", "properties", "seats", "items")),
    ("a member of its own", lambda d: put(d, 1, *TRIP, "put", "scopes")),
]


def openapi(build, path):
    done = subprocess.run([f"{build}/flowc", "openapi", path], capture_output=True, text=True, timeout=60, check=False)
    want(done.returncode == 0, path, f"exit {done.returncode}: {done.stderr[:400]}")
    return json.loads(done.stdout)


def refused(document):
    try:
        Document(document).check()
    except Wrong:
        return True
    return False


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else "build"
    passed = failed = 0
    for path in ["tests/golden/openapi.flow", "tests/golden/routes.flow", "tests/syntax/ok_routes.flow", "tests/flows/requests.flow"]:
        try:
            Document(openapi(build, path)).check()
            passed += 1
        except Wrong as wrong:
            print(f"FAIL {path}: {wrong}")
            failed += 1
    whole = openapi(build, "tests/golden/openapi.flow")
    for name, fault in FAULTS:
        broken = copy.deepcopy(whole)
        fault(broken)
        if refused(broken):
            passed += 1
        else:
            print(f"FAIL not refused: {name}")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
