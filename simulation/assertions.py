"""What must be true at the end of a run: small expressions, read without `eval`."""

import ast
import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from simulation.errors import ConfigError
from simulation.results import BotResult, MarketResult, RunResult

MOST_CHARACTERS: Final = 500

_COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_SUMS: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_BOT: Final[Mapping[str, Callable[[BotResult], Any]]] = {
    "equity": lambda bot: float(bot.equity),
    "cash": lambda bot: float(bot.cash),
    "pnl": lambda bot: float(bot.pnl),
    "realized_pnl": lambda bot: float(bot.realized_pnl),
    "fees": lambda bot: float(bot.fees),
    "max_drawdown": lambda bot: bot.max_drawdown,
    "sharpe": lambda bot: bot.sharpe or 0.0,
    "hit_rate": lambda bot: bot.hit_rate or 0.0,
    "orders": lambda bot: bot.orders,
    "fills": lambda bot: bot.fills,
    "refusals": lambda bot: sum(bot.refusals.values()),
    "books_agree": lambda bot: bot.agrees,
    "failures": lambda bot: sum(bot.failures.values()),
    "failed": lambda bot: bool(bot.failure),
}
_MARKET: Final[Mapping[str, Callable[[MarketResult], Any]]] = {
    "ticks": lambda of: of.ticks,
    "first_price": lambda of: _number(of.first),
    "last_price": lambda of: _number(of.last),
    "low_price": lambda of: _number(of.low),
    "high_price": lambda of: _number(of.high),
    "trades": lambda of: of.trades,
    "volume": lambda of: float(of.volume),
    "last_trade": lambda of: _number(of.last_trade),
    "low_trade": lambda of: _number(of.low_trade),
    "high_trade": lambda of: _number(of.high_trade),
    "halts": lambda of: of.halts,
    "source_lost": lambda of: of.down,
    "source_stale": lambda of: of.stale,
    "source_faults": lambda of: of.faults,
}


class Assertion:
    """One expression, such as ``max_drawdown("investor") < 0.2``.

    It knows numbers, texts, ``+ - * /``, comparisons, ``and or not``, and the functions of
    `FUNCTIONS`; nothing else can be said in it.

    Raises:
        ConfigError: it is no such expression.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > MOST_CHARACTERS:
            raise ConfigError(f"an assertion has at most {MOST_CHARACTERS} characters")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ConfigError(f"assertion {text!r}: {error}") from error
        _check(self._tree, text)
        _check_calls(self._tree, text)

    def check(self, known: Mapping[str, Collection[str]]) -> None:
        """Raise ConfigError when it asks for somebody that will not be there.

        Args:
            known: who will be, by what `MEMBERS` calls them: the agents, the symbols, ...
        """
        for function, args in _calls(self._tree):
            for member, arg in zip(MEMBERS[function], args, strict=True):
                there, name = known.get(member), getattr(arg, "value", None)
                if there is not None and name not in there:
                    only = ", ".join(there) or "none at all"
                    raise ConfigError(f"assertion {self.text!r}: there is no {name!r}, only {only}")

    def holds(self, result: RunResult) -> bool:
        """Return whether it is true of a run; ConfigError for what it has no figure of."""
        try:
            return bool(self._value(self._tree, result))
        except KeyError as error:
            raise ConfigError(f"assertion {self.text!r}: there is no {error}") from error
        except (TypeError, ZeroDivisionError) as error:
            raise ConfigError(f"assertion {self.text!r}: {error!r}") from error

    def _value(self, node: ast.expr, result: RunResult) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Call(func=ast.Name(id=name), args=args):
                return FUNCTIONS[name](result, *(self._value(each, result) for each in args))
            case ast.BoolOp(op=op, values=values):
                truths = (bool(self._value(each, result)) for each in values)
                return all(truths) if isinstance(op, ast.And) else any(truths)
            case ast.UnaryOp(op=op, operand=operand):
                value = self._value(operand, result)
                return not value if isinstance(op, ast.Not) else -value
            case ast.BinOp(left=left, op=op, right=right):
                return _SUMS[type(op)](self._value(left, result), self._value(right, result))
            case ast.Compare():
                return self._compared(node, result)
        raise TypeError(node)

    def _compared(self, node: ast.Compare, result: RunResult) -> bool:
        values = [self._value(each, result) for each in (node.left, *node.comparators)]
        pairs = zip(node.ops, values, values[1:], strict=False)
        return all(_COMPARISONS[type(op)](a, b) for op, a, b in pairs)


def failures(assertions: Sequence[str], result: RunResult) -> tuple[str, ...]:
    """Return those of the assertions that do not hold."""
    return tuple(text for text in assertions if not Assertion(text).holds(result))


def never_came(ticks: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    """Return what does not hold of a scenario whose events wait for these ticks at its end."""
    return tuple(f"tick {number} of {symbol} came" for symbol, number in ticks)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _of_bot(figure: Callable[[BotResult], Any]) -> Callable[..., Any]:
    return lambda result, name: figure(result.bot(name))


def _of_market(figure: Callable[[MarketResult], Any]) -> Callable[..., Any]:
    return lambda result, symbol: figure(result.market(symbol))


def _position(result: RunResult, name: str, symbol: str) -> float:
    return float(result.bot(name).positions.get(symbol, 0))


def _refused(result: RunResult, name: str, code: str) -> int:
    return result.bot(name).refusals.get(code, 0)


def _exceptions(result: RunResult, portfolio: str) -> int:
    return {risk.portfolio: risk.exceptions_99 for risk in result.risk}[portfolio]


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    **{name: _of_bot(figure) for name, figure in _BOT.items()},
    **{name: _of_market(figure) for name, figure in _MARKET.items()},
    "position": _position,
    "refused": _refused,
    "risk_exceptions": _exceptions,
    "abs": lambda _, value: abs(value),
    "all_books_agree": lambda result: all(bot.agrees for bot in result.bots),
}
"""What an assertion may ask: of an agent, of an instrument, or of the whole run."""

MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(_BOT, ("agent",)),
    **dict.fromkeys(_MARKET, ("symbol",)),
    "position": ("agent", "symbol"),
    "refused": ("agent", "code"),
    "risk_exceptions": ("portfolio",),
    "abs": ("number",),
    "all_books_agree": (),
}
"""What each function of an assertion is asked about."""

_ALLOWED: Final = (
    ast.Constant,
    ast.Call,
    ast.Name,
    ast.Load,
    ast.BoolOp,
    ast.UnaryOp,
    ast.BinOp,
    ast.Compare,
    ast.And,
    ast.Or,
    ast.Not,
    ast.USub,
    *_COMPARISONS,
    *_SUMS,
)


def _check(tree: ast.expr, text: str) -> None:
    """Raise ConfigError for whatever is not of the small language."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise ConfigError(f"assertion {text!r}: {type(node).__name__} is not allowed")
        if isinstance(node, ast.Call) and node.keywords:
            raise ConfigError(f"assertion {text!r}: no keywords")
        if isinstance(node, ast.BinOp) and (_is_text(node.left) or _is_text(node.right)):
            raise ConfigError(f"assertion {text!r}: there are no sums of texts")
        if isinstance(node, ast.Constant) and not isinstance(node.value, int | float | str):
            raise ConfigError(f"assertion {text!r}: {node.value!r} is no number and no text")
        if isinstance(node, ast.Name) and (id(node) not in called or node.id not in FUNCTIONS):
            raise ConfigError(
                f"assertion {text!r}: there is no {node.id!r};"
                f" it may ask for {', '.join(FUNCTIONS)}"
            )


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _calls(tree: ast.expr) -> Iterator[tuple[str, list[ast.expr]]]:
    """Yield the name of each function that is called, and its arguments."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=args):
                yield name, args
            case ast.Call():
                raise ConfigError("an assertion calls nothing but its functions by their names")


def _check_calls(tree: ast.expr, text: str) -> None:
    """Raise ConfigError for a function with too many or too few arguments."""
    for name, args in _calls(tree):
        if len(args) != len(MEMBERS[name]):
            raise ConfigError(f"assertion {text!r}: it is {name}({', '.join(MEMBERS[name])})")
