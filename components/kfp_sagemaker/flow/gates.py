"""Gates: whether the metrics of a run are good enough to merge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kfp_sagemaker.aws.errors import ThresholdError
from kfp_sagemaker.flow.definition import Gate
from kfp_sagemaker.flow.result import GateKind, GateResult

# Of kfp_sagemaker.evaluation's metrics; of all the others more is better.
LESS_IS_BETTER = frozenset({"log_loss", "mae", "mape_percent", "median_absolute_error", "mse", "rmse"})


def evaluate(
    gates: Sequence[Gate], metrics: Mapping[str, float], main_metrics: Mapping[str, float] | None
) -> list[GateResult]:
    """Hold the metrics against each gate.

    A metric the evaluation did not give misses its gate. Where the main branch has no such metric yet there is nothing
    to be worse than: the gate passes.

    Args:
        gates: The flow's gates.
        metrics: The metrics of this run.
        main_metrics: The metrics of the main branch; ``None`` when it has none.

    Returns:
        A result a gate, in their order.
    """
    return [_evaluate(gate, metrics.get(gate.metric), (main_metrics or {}).get(gate.metric)) for gate in gates]


def _evaluate(gate: Gate, value: float | None, main_value: float | None) -> GateResult:
    kind, limit = gate.kind, gate.limit
    if value is None or value != value:  # a metric that is not a number is none
        return GateResult(gate.metric, kind, limit, None, main_value, passed=False, missed_by=None)
    missed_by = 0.0
    if kind == "at_least":
        missed_by = limit - value
    elif kind == "at_most":
        missed_by = value - limit
    elif main_value is not None:
        worse_by = value - main_value if gate.metric in LESS_IS_BETTER else main_value - value
        missed_by = worse_by - limit
    passed = missed_by <= 0
    return GateResult(gate.metric, kind, limit, value, main_value, passed, None if passed else missed_by)


def missed(results: Sequence[GateResult]) -> list[str]:
    """A readable line for each gate that did not pass: which, and by how much.

    Args:
        results: Of :func:`evaluate`.

    Returns:
        The lines; empty when all passed.
    """
    return [sentence(result) for result in results if not result.passed]


def sentence(result: GateResult) -> str:
    """What a gate said, such as ``auc 0.81 must be at least 0.9, missed by 0.09``."""
    if result.value is None:
        return f"{result.metric} has no value: the evaluation did not give this metric"
    said = f"{result.metric} {result.value:.6g} {_wanted(result.kind, result.limit, result.main_value)}"
    return said if result.passed else f"{said}, missed by {result.missed_by or 0:.3g}"


def _wanted(kind: GateKind, limit: float, main_value: float | None) -> str:
    if kind != "no_worse_than_main_by":
        return f"must be {kind.replace('_', ' ')} {limit:g}"
    if main_value is None:
        return f"may be worse than main by {limit:g}, and main has none yet"
    return f"may be worse than main's {main_value:.6g} by {limit:g} at most"


def absolute(gate: Gate, main_metrics: Mapping[str, float] | None) -> tuple[str, float | None]:
    """A gate as a plain bound, for engines that do not know the main branch.

    Args:
        gate: The gate.
        main_metrics: The metrics of the main branch.

    Returns:
        ``at_least`` or ``at_most``, and the bound; ``None`` where there is nothing on main to be worse than.
    """
    if gate.kind != "no_worse_than_main_by":
        return gate.kind, gate.limit
    less_is_better = gate.metric in LESS_IS_BETTER
    kind = "at_most" if less_is_better else "at_least"
    main = (main_metrics or {}).get(gate.metric)
    if main is None:
        return kind, None
    return kind, main + gate.limit if less_is_better else main - gate.limit


def check(gates: Sequence[Mapping[str, Any]], metrics: Mapping[str, float], main_metrics: Mapping[str, float]) -> None:
    """Refuse to go on when a gate is missed; prints what each said.

    Args:
        gates: Each ``{"metric", "kind", "limit"}``.
        metrics: The metrics of this run.
        main_metrics: The metrics of the main branch.

    Raises:
        ThresholdError: Gates are missed; says which, and by how much.
    """
    results = evaluate([Gate(**gate) for gate in gates], metrics, main_metrics)
    for result in results:
        print(f"{'passed' if result.passed else 'MISSED'}: {sentence(result)}", flush=True)
    if lines := missed(results):
        raise ThresholdError("\n".join([f"{len(lines)} of {len(results)} gates missed:", *lines]))
