"""Index layers: a formula over bands, such as (nir - red) / (nir + red), read as arithmetic and nothing else."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..types import AnyArray, FloatArray

LONGEST = 200
"""Characters of a formula."""
_DEEPEST = 40

_BINARY: dict[type[ast.operator], Callable[[AnyArray, AnyArray], AnyArray]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: np.float_power,
}
_FUNCTIONS: dict[str, tuple[int, Callable[..., AnyArray]]] = {
    "abs": (1, np.abs),
    "sqrt": (1, np.sqrt),
    "log": (1, np.log),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
}


@dataclass(frozen=True)
class Formula:
    """A formula that was read; made by `parse_formula`."""

    text: str
    bands: tuple[int, ...]
    """Indices, from 0, of the bands that it names."""
    _tree: ast.expr
    _names: dict[str, int]

    def __call__(self, data: AnyArray) -> FloatArray:
        """The value at each pixel.

        Args:
            data: Shape (band, row, col), any real dtype.

        Returns:
            Shape (row, col); NaN or infinite where it has no value, as where it divides by zero.
        """
        with np.errstate(all="ignore"):
            value = self._value(self._tree, data)
        return np.broadcast_to(np.asarray(value, np.float32), data.shape[1:])

    def _value(self, node: ast.expr, data: AnyArray) -> AnyArray:
        match node:
            case ast.BinOp(left, op, right):
                return _BINARY[type(op)](self._value(left, data), self._value(right, data))
            case ast.UnaryOp(op, operand):
                value = self._value(operand, data)
                return -value if isinstance(op, ast.USub) else value
            case ast.Call(ast.Name(name), arguments):
                return _FUNCTIONS[name][1](*(self._value(one, data) for one in arguments))
            case ast.Name(name):
                return np.asarray(data[self._names[name.lower()]], np.float64)
            case ast.Constant(value):
                return np.asarray(value, np.float64)
        raise AssertionError(node)  # parse_formula lets nothing else through


def parse_formula(text: str, bands: Sequence[str]) -> Formula:
    """Read a formula over bands.

    Args:
        text: Numbers, bands, + - * / **, parentheses, abs, sqrt, log, min and max. A band goes by its name, in any case, or by b1, b2 and so on.
        bands: Names of the image's bands.

    Raises:
        InputError: It is none, or names a band that is not there; the message says which part.
    """
    names = {f"b{i + 1}": i for i in range(len(bands))} | {name.lower(): i for i, name in enumerate(bands)}
    allowed = "expected numbers, bands, + - * / **, parentheses, abs, sqrt, log, min or max, such as (nir - red) / (nir + red)"
    if not text.strip() or len(text) > LONGEST:
        raise InputError(f"the formula has {len(text)} characters, {allowed}, in 1 to {LONGEST}.")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as exc:
        raise InputError(f"the formula {text!r} cannot be read, {allowed}.") from exc
    used: set[int] = set()

    def check(node: ast.expr, depth: int) -> None:
        if depth > _DEEPEST:
            raise InputError(f"the formula {text!r} is nested more than {_DEEPEST} deep. Write it flatter.")
        match node:
            case ast.BinOp(left, op, right) if type(op) in _BINARY:
                check(left, depth + 1)
                check(right, depth + 1)
            case ast.UnaryOp(ast.USub() | ast.UAdd(), operand):
                check(operand, depth + 1)
            case ast.Call(ast.Name(name), arguments, []) if name in _FUNCTIONS and len(arguments) == _FUNCTIONS[name][0]:
                for one in arguments:
                    check(one, depth + 1)
            case ast.Name(name):
                if name.lower() not in names:
                    raise InputError(f"the formula names {name!r}, expected a band: {', '.join(bands)}, or b1 to b{len(bands)}.")
                used.add(names[name.lower()])
            case ast.Constant(int() | float() as value) if not isinstance(value, bool) and abs(value) < 1e30:
                pass
            case _:
                raise InputError(f"the formula has {ast.unparse(node)!r}, {allowed}.")

    check(tree, 0)
    if not used:
        raise InputError(f"the formula {text!r} names no band, expected at least one: {', '.join(bands)}.")
    return Formula(text, tuple(sorted(used)), tree, names)
