"""What scikit-learn asks of an estimator."""

from __future__ import annotations

import inspect
from typing import Any

from .errors import InputError


class Estimator:
    """Arguments of __init__ as parameters, as `sklearn.base` knows them: `get_params`, `set_params`, `clone`."""

    _params: dict[str, Any]
    """The arguments as they were given."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments that it was made with; `deep` changes nothing."""
        return dict(self._params)

    def set_params(self, **params: Any) -> Any:
        """Change arguments, as if it had been made with them: labels are forgotten.

        Raises:
            InputError: An argument that is not known, or a value that is not allowed; nothing is changed then.
        """
        unknown = set(params) - set(self._params)
        if unknown:
            raise InputError(f"{type(self).__name__} has no parameter {min(unknown)!r}, expected some of {', '.join(self._params)}.")
        self.__dict__ = type(self)(**{**self._params, **params}).__dict__
        return self

    def __sklearn_clone__(self) -> Any:
        """One with the same arguments and no labels; the model is shared, since nothing changes it."""
        return type(self)(**self._params)

    def __repr__(self) -> str:
        usual = {name: parameter.default for name, parameter in inspect.signature(type(self).__init__).parameters.items()}
        said = (f"{name}={value!r}" for name, value in self._params.items() if value is not usual[name] and value != usual[name])
        return f"{type(self).__name__}({', '.join(said)})"
