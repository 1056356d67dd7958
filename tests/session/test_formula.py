"""Index layers: formulas over bands."""

from __future__ import annotations

import numpy as np
import pytest

from pixelkin.errors import InputError
from pixelkin.session.formula import parse_formula

BANDS = ("red", "NIR", "swir-1")


@pytest.fixture
def data(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(1, 4000, (3, 5, 6)).astype(np.uint16)


def test_a_formula_is_arithmetic_over_bands_by_name_or_number(data: np.ndarray) -> None:
    red, nir, swir = data.astype(np.float64)
    for text, expected in (
        ("(nir - red) / (nir + red)", (nir - red) / (nir + red)),
        ("(b2-B3)/(b2+b3)", (nir - swir) / (nir + swir)),
        ("-red + 2.5e-1 * nir ** 2", -red + 0.25 * nir**2),
        ("sqrt(abs(red - nir)) + max(red, 7) - min(nir, b3)", np.sqrt(np.abs(red - nir)) + np.maximum(red, 7) - np.minimum(nir, swir)),
    ):
        np.testing.assert_allclose(parse_formula(text, BANDS)(data), expected, rtol=1e-5, atol=1e-5)
    assert parse_formula("(nir - red) / (nir + red)", BANDS).bands == (0, 1)


def test_unsigned_bands_do_not_wrap_around(data: np.ndarray) -> None:
    data[0], data[1] = 10, 4
    np.testing.assert_array_equal(parse_formula("nir - red", BANDS)(data), -6)


def test_where_it_has_no_value_there_is_none(data: np.ndarray) -> None:
    data[:2, 0, 0] = 0
    values = parse_formula("(nir - red) / (nir + red)", BANDS)(data)
    assert np.isnan(values[0, 0])
    assert np.isfinite(values[1:]).all()


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "1 + 2", "nir -", "nir red", "blue", "nir.real", "nir[0]", "__import__('os')", "(lambda: nir)()", "nir if red else 0",
        "sqrt(nir, red)", "sqrt(x=nir)", "eval('nir')", "'nir'", "True * nir", "nir and red", "nir < red", "nir // red", "1e400 * nir",
        "(" * 300 + "nir" + ")" * 300, "-" * 100 + "nir", "nir + 1j", "[nir]", "nir := red", "nir; red", "f'{nir}'", "max(*[nir, red])",
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_formula(text, BANDS)
    assert "\n" not in str(refused.value)
    assert "expected" in str(refused.value) or "flatter" in str(refused.value)
