"""The OpenAPI document as one page to read: no script, nothing fetched from anywhere."""

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any, Final

PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "no-cache",
}
TAGS: Final = {
    "market": "The market",
    "orders": "Orders",
    "accounts": "Accounts",
    "process": "The exchange itself",
}

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, summary { font-family: ui-monospace, monospace; font-size: 14px }
details { border: 1px solid #8886; border-radius: 6px; margin: .5rem 0; padding: .4rem .8rem }
summary { cursor: pointer } summary b { display: inline-block; width: 4.5rem }
summary span { font-family: system-ui, sans-serif; opacity: .75; margin-left: 1rem }
table { border-collapse: collapse; margin: .5rem 0 } td, th { padding: .15rem .8rem .15rem 0;
text-align: left; vertical-align: top } th { font-weight: 600 }
:root { color-scheme: light dark }
"""

Json = Mapping[str, Any]


def page(document: Json) -> str:
    """Return the page of an OpenAPI document."""
    info = document["info"]
    title = escape(info["title"])
    return "".join(
        (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
            '<meta name="viewport" content="width=device-width">',
            f"<style>{_STYLE}</style><h1>{title}</h1><p>{escape(info['description'])}",
            ' Everything here is also <a href="/openapi.json">OpenAPI 3.1</a>.</p>',
            *_sections(document),
            "<h2>Models</h2>",
            *(_model(name, of) for name, of in document["components"]["schemas"].items()),
            "</html>",
        )
    )


def _sections(document: Json) -> Iterator[str]:
    for tag, title in TAGS.items():
        yield f"<h2>{title}</h2>"
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag in operation["tags"]:
                    yield _operation(method.upper(), path, operation)


def _operation(method: str, path: str, operation: Json) -> str:
    shown = f"{escape(path)}</code> <span>{escape(operation['summary'])}</span>"
    parts = [f"<details><summary><b>{method}</b> <code>{shown}</summary>"]
    if operation["parameters"]:
        parts.append(_table(_parameter(one) for one in operation["parameters"]))
    if "requestBody" in operation:
        parts.append(f"<p>Body: {_content(operation['requestBody'])}</p>")
    parts.append(_table(_response(*one) for one in operation["responses"].items()))
    return "".join((*parts, "</details>"))


def _parameter(one: Json) -> tuple[str, ...]:
    needed = "required" if one["required"] else ""
    place = f"{one['in']} {needed}".strip()
    return f"<code>{one['name']}</code>", place, _type(one["schema"]), escape(one["description"])


def _response(status: str, one: Json) -> tuple[str, ...]:
    return f"<code>{status}</code>", escape(one["description"]), _content(one)


def _content(of: Json) -> str:
    found = of.get("content", {})
    return ", ".join(f"<code>{media}</code> {_type(one['schema'])}" for media, one in found.items())


def _model(name: str, schema: Json) -> str:
    about = escape(schema.get("description", ""))
    required = set(schema.get("required", ()))
    rows = [
        (f"<code>{field}</code>", "required" if field in required else "", _type(of))
        for field, of in schema.get("properties", {}).items()
    ]
    body = _table(rows) if rows else f"<p>{_type(schema)}</p>"
    return f'<details id="{name}"><summary>{name}</summary><p>{about}</p>{body}</details>'


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"array of {_type(schema.get('items') or {})}"
    limits = (f"{name} {schema[key]}" for key, name in _LIMITS.items() if key in schema)
    return escape(" ".join((str(schema.get("type", "anything")), *limits)))


_LIMITS: Final = {
    "minimum": "from",
    "exclusiveMinimum": "above",
    "maximum": "to",
    "maxLength": "of at most",
    "format": "as",
    "pattern": "like",
}


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    return f"<table>{''.join(_row(cells) for cells in rows)}</table>"


def _row(cells: tuple[str, ...]) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
