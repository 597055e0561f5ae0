"""JSON bodies of requests -> models: decimals stay exact, and every bad field is named."""

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar, get_args

import msgspec
from starlette.requests import ClientDisconnect, Request

from market.problems import ProblemError

MAX_BODY_BYTES: Final = 64 * 1024
MAX_NUMBER_LENGTH: Final = 100
_BOUNDS: Final = frozenset({"exclusiveMinimum", "minimum", "maximum"})

T = TypeVar("T", bound=msgspec.Struct)


class Field(NamedTuple):
    """A field of a model: how it is called in a body and in the model, and what it holds.

    ``words`` is what its text must be, as its type describes it; "" when it does not. ``bounds``
    are those of its number, named as in JSON Schema.
    """

    given: str
    name: str
    required: bool
    type: Any
    is_decimal: bool
    words: str
    bounds: Mapping[str, int]


async def read_body(
    request: Request, model: type[T], aliases: Mapping[str, str] | None = None
) -> T:
    """Return the body of a request as ``model``.

    Args:
        aliases: other names of fields, each with the name it stands for.

    Raises:
        ProblemError: 413 when it is over 64 KiB; 422 when it is not JSON, not an object, or when
            fields are missing, wrong or unknown; ``errors`` then names each with its problem.
    """
    return as_model(_parsed(await _bytes(request)), model, aliases)


def as_model(body: object, model: type[T], aliases: Mapping[str, str] | None = None) -> T:
    """Return a parsed body as ``model``; raise the 422 problem that names every bad field."""
    if not isinstance(body, dict):
        raise _invalid("The body must be a JSON object.")
    errors: list[dict[str, str]] = []
    given = _renamed(body, aliases or {}, errors)
    values: dict[str, Any] = {}
    for field in _fields(model):
        if field.given in given:
            problem, values[field.name] = _converted(given.pop(field.given), field)
            if problem:
                errors.append({"field": field.given, "problem": problem})
        elif field.required:
            errors.append({"field": field.given, "problem": "is missing"})
    errors += ({"field": name[:80], "problem": "is not known here"} for name in sorted(given)[:20])
    if errors:
        errors += _out_of_bounds(model, values)
        raise _invalid("; ".join(f"{e['field']} {e['problem']}" for e in errors[:5]), errors)
    return model(**values)


def _out_of_bounds(
    model: type[msgspec.Struct], values: Mapping[str, object]
) -> list[dict[str, str]]:
    """Return the fields whose number is beyond what the model says of it, and by what."""
    found = ((of.given, _beyond(values.get(of.name), of.bounds)) for of in _fields(model))
    return [{"field": name, "problem": problem} for name, problem in found if problem]


def _beyond(value: object, bounds: Mapping[str, int]) -> str:
    """Return what is wrong with a number, "" when nothing is."""
    if not isinstance(value, Decimal):
        return ""
    if "exclusiveMinimum" in bounds and value <= bounds["exclusiveMinimum"]:
        return f"must be above {bounds['exclusiveMinimum']}"
    if "minimum" in bounds and value < bounds["minimum"]:
        return f"must be {bounds['minimum']} at least"
    if "maximum" in bounds and value > bounds["maximum"]:
        return f"must be {bounds['maximum']} at most"
    return ""


@cache
def _fields(model: type[msgspec.Struct]) -> tuple[Field, ...]:
    return tuple(
        Field(
            of.encode_name,
            of.name,
            of.required,
            of.type,
            _holds_decimal(of.type),
            _described(of.type),
            _bounds(of.type),
        )
        for of in msgspec.structs.fields(model)
    )


def _holds_decimal(wanted: Any) -> bool:
    return wanted is Decimal or any(_holds_decimal(part) for part in get_args(wanted))


def _notes(wanted: Any) -> list[msgspec.Meta]:
    """Return what an annotated type notes of itself."""
    return [one for one in getattr(wanted, "__metadata__", ()) if isinstance(one, msgspec.Meta)]


def _bounds(wanted: Any) -> Mapping[str, int]:
    """Return the bounds that a type sets to its number, as its schema has them."""
    found: dict[str, int] = {}
    for note in _notes(wanted):
        schema = note.extra_json_schema or {}
        found |= {name: schema[name] for name in _BOUNDS & schema.keys()}
    for part in get_args(wanted):
        found |= _bounds(part)
    return found


def _described(wanted: Any) -> str:
    """Return what a text of this type must be, in words; "" when the type does not say."""
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return f"one of {', '.join(str(choice.value) for choice in wanted)}"
    found = (note.description for note in _notes(wanted))
    inner = (_described(part) for part in get_args(wanted))
    return next((words for words in (*found, *inner) if words), "")


async def _bytes(request: Request) -> bytes:
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY_BYTES:
                detail = f"The body is over {MAX_BODY_BYTES} bytes."
                raise ProblemError(413, "content-too-large", detail)
    except ClientDisconnect as error:  # nobody is there to read this
        raise ProblemError(400, "client-disconnected", "The body broke off.") from error
    return bytes(body)


def _parsed(body: bytes) -> object:
    try:
        text = body.decode()
        parsed = json.loads(
            text,
            parse_float=_exact,
            parse_int=_whole,
            parse_constant=_refuse,
            object_pairs_hook=_once_each,
        )
        if "\\u" in text:
            json.dumps(parsed, ensure_ascii=False, default=str).encode()  # half a pair is no text
    except UnicodeError as error:
        raise _invalid("The body is not UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise _invalid(f"The body is not JSON: {str(error)[:200]}.") from error
    except InvalidOperation as error:
        raise _invalid("A number's exponent is out of all reason.") from error
    except OverflowError as error:
        raise _invalid(f"A number is longer than {MAX_NUMBER_LENGTH} characters.") from error
    return parsed


def _exact(number: str) -> Decimal:
    return Decimal(_bounded(number))


def _whole(number: str) -> int:
    return int(_bounded(number))


def _bounded(number: str) -> str:
    """Return a number's text; one that is kept and echoed may not fill a body by itself."""
    if len(number) > MAX_NUMBER_LENGTH:
        raise OverflowError(number[:MAX_NUMBER_LENGTH])
    return number


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name appears twice in an object")
    return found


def _renamed(
    body: dict[str, Any], aliases: Mapping[str, str], errors: list[dict[str, str]]
) -> dict[str, Any]:
    given: dict[str, Any] = {}
    names: dict[str, str] = {}
    for name, value in body.items():
        meant = aliases.get(name, name)
        if meant in given:
            errors.append({"field": name, "problem": f"says again what {names[meant]} says"})
        given[meant], names[meant] = value, name
    return given


def _converted(value: object, field: Field) -> tuple[str, Any]:
    """Return what is wrong with ``value``, "" when nothing is, and the value as it is wanted."""
    if field.is_decimal and value is not None:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            return "must be a number", None
        return "", Decimal(value)
    try:
        return "", msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        if field.words and isinstance(value, str):
            return f"must be {field.words}", None
        return _in_words(str(error)), None


def _in_words(problem: str) -> str:
    return problem[:1].lower() + problem[1:200].replace("`", "")


def _invalid(detail: str, errors: list[dict[str, str]] | None = None) -> ProblemError:
    return ProblemError(422, "invalid-body", detail, errors=errors or [])
