"""Operations of an HTTP interface, and the OpenAPI 3.1 document that describes them.

The models that read requests and write answers are the ones that the document is made from.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

_REF: Final = "#/components/schemas/{name}"
_KEYS: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


class BadField(msgspec.Struct, frozen=True):
    """A field of a body, and what is wrong with it."""

    field: str
    problem: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was refused (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[BadField] = []
    field: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A part of the path, the query or the head of a request."""

    name: str
    about: str
    schema: Mapping[str, object]
    where: str = "query"
    required: bool = False

    def described(self) -> dict[str, object]:
        """Return the parameter as the document has it."""
        return {
            "name": self.name,
            "in": self.where,
            "required": self.required or self.where == "path",
            "description": self.about,
            "schema": dict(self.schema),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one method does at one path.

    ``answer`` is a model, or the media type of what has none, or "" for no content; ``statuses``
    are the other ones that it comes with, and why.
    """

    method: str
    path: str
    about: str
    answer: Any
    body: type[msgspec.Struct] | None = None
    parameters: Sequence[Parameter] = ()
    problems: Sequence[int] = ()
    tag: str = "market"
    status: int = 200
    statuses: Mapping[int, str] | None = None


def document(
    title: str, version: str, about: str, operations: Iterable[Operation], *, keys: bool = False
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of ``operations``.

    With ``keys`` those that may answer 401 need a key, and either way of giving it is described.
    """
    listed = list(operations)
    models = [model for one in listed for model in (one.answer, one.body) if _is_model(model)]
    found, components = msgspec.json.schema_components([*models, Problem], ref_template=_REF)
    schemas = iter(found)
    paths: dict[str, dict[str, object]] = {}
    for one in listed:
        answer = next(schemas) if _is_model(one.answer) else None
        body = next(schemas) if _is_model(one.body) else None
        told = _described(one, answer, body)
        if keys and 401 in one.problems:
            told["security"] = [{scheme: []} for scheme in _KEYS]
        paths.setdefault(one.path, {})[one.method.lower()] = told
    made = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": about},
        "paths": paths,
        "components": {"schemas": components} | ({"securitySchemes": _KEYS} if keys else {}),
    }
    described: dict[str, Any] = _as_on_the_wire(made)
    return described


def _is_model(model: Any) -> bool:
    return model is not None and not isinstance(model, str)


def _answers(one: Operation, schema: Any) -> dict[str, Any]:
    """Return the responses that are no problems."""
    content: dict[str, Any] = {}
    if one.answer:
        media = one.answer if isinstance(one.answer, str) else "application/json"
        content = {"content": {media: {"schema": schema or {"type": "string"}}}}
    return {
        str(status): {"description": why, **content}
        for status, why in {one.status: "Done.", **(one.statuses or {})}.items()
    }


def _described(one: Operation, answer: Any, body: Any) -> dict[str, Any]:
    responses = _answers(one, answer)
    for status in one.problems:
        content = {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}}
        responses[str(status)] = {"description": "Refused.", "content": content}
    found: dict[str, Any] = {
        "summary": one.about,
        "tags": [one.tag],
        "operationId": _name(one),
        "parameters": [parameter.described() for parameter in one.parameters],
        "responses": responses,
    }
    if body is not None:
        content = {"application/json": {"schema": body}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _name(one: Operation) -> str:
    words = [word.strip("{}") for word in one.path.split("/") if word]
    return "_".join([one.method.lower(), *words]).replace(".", "_").replace("-", "_")


def _as_on_the_wire(value: Any) -> Any:
    """Return the document with decimals as numbers, and pairs as most tools know them."""
    if isinstance(value, list):
        return [_as_on_the_wire(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if value.get("format") == "decimal":
        value = {**{k: v for k, v in value.items() if k != "format"}, "type": "number"}
    made = {key: _as_on_the_wire(inner) for key, inner in value.items()}
    pair = made.get("prefixItems")
    if isinstance(pair, list) and all(part == pair[0] for part in pair):
        return {**{k: v for k, v in made.items() if k != "prefixItems"}, "items": pair[0]}
    return made
