"""Values on their way from a Kubeflow input to an AWS request.

Kubeflow hands every number inside a ``list`` or ``dict`` input over as a float, in ``kfp.local`` and on the cluster,
and SageMaker takes hyperparameters and environment only as strings. Both are put right here and nowhere else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

# Maps whose keys and values belong to the user: an empty value there is a value (`{"DEBUG": ""}`), not an omission.
USER_MAPS = frozenset({"Environment", "HyperParameters", "StaticHyperParameters", "Tags"})


def normalise(value: Any) -> Any:
    """Turn floats that are whole numbers back into integers, through lists, tuples and dicts.

    Args:
        value: Anything JSON can hold.

    Returns:
        An equal value with ``10.0`` as ``10``; tuples become lists; infinities and NaN stay what they are.
    """
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: normalise(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [normalise(item) for item in value]
    return value


def string_map(mapping: Mapping[str, Any]) -> dict[str, str]:
    """Render a mapping's values as the strings SageMaker wants in hyperparameters and environment.

    Args:
        mapping: Names to values; ``None`` leaves a name out.

    Returns:
        Strings as they are, booleans as ``true`` and ``false``, whole numbers without a decimal point, lists and dicts
        as compact JSON.
    """
    return {str(key): _as_string(normalise(value)) for key, value in mapping.items() if value is not None}


def drop_empty(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what was not given: ``None``, ``""``, ``{}`` and ``[]``, at every depth.

    Zero and ``False`` are values and stay. List elements keep their places, and the maps a user fills in themselves
    (``Environment``, ``HyperParameters``) keep their empty strings.

    Args:
        mapping: A request in the making.

    Returns:
        A new mapping without the empty members.
    """
    result: dict[str, Any] = {}
    for key, value in mapping.items():
        cleaned = value if key in USER_MAPS else _drop_empty(value)
        if not _is_empty(cleaned):
            result[key] = cleaned
    return result


def _drop_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        return drop_empty(value)
    if isinstance(value, list | tuple):
        return [_drop_empty(item) for item in value]
    return value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | Mapping | list) and not value)


def _as_string(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
