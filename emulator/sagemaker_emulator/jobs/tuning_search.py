"""How a tuning job chooses hyperparameters, and when it ends a training job early.

Bayesian is a tree-structured Parzen estimator, Hyperband successive halving over brackets; both are Optuna's, which
is imported when the first of them is needed. AWS's own optimisers are not public, so a seed gives other values there.

https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-how-it-works.html
"""

from __future__ import annotations

import statistics
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sagemaker_emulator.jobs.tuning_space import Choice, Number, Space, grid

_REDUCTION_FACTOR = 3
_LARGEST_SEED = 2**32 - 1
# The median of fewer jobs says nothing.
_MIN_JOBS_TO_COMPARE = 2


@dataclass(eq=False)
class Trial:
    """One choice of hyperparameters and what came of it.

    Attributes:
        values: Hyperparameter to value, as text.
        history: The objective metric, each time the training job logged it.
        ticket: The optimiser's own handle of it.
    """

    values: dict[str, str]
    history: list[float] = field(default_factory=list)
    ticket: Any = None


class Search(Protocol):
    """A search through one space. Methods may be called from any thread."""

    def propose(self) -> Trial | None:
        """Choose the next hyperparameters; None when there are no more."""

    def is_hopeless(self, trial: Trial) -> bool:
        """Whether to end a running trial, whose history has just grown."""
        ...

    def finish(self, trial: Trial, value: float | None) -> None:
        """Take in how a trial ended; None when it brought no value of the objective."""

    def learn(self, values: Mapping[str, str], value: float | None) -> None:
        """Take in a trial from before: of a parent, or of the emulator that was killed."""


class GridSearch:
    """Every combination once, in order.

    Args:
        space: Categorical hyperparameters only.
    """

    def __init__(self, space: Space) -> None:
        self._open = list(grid(space))
        self._lock = threading.Lock()

    def propose(self) -> Trial | None:
        """Choose the next combination."""
        with self._lock:
            return Trial(self._open.pop(0)) if self._open else None

    def is_hopeless(self, trial: Trial) -> bool:
        """Never: every combination is worth its time."""
        return False

    def finish(self, trial: Trial, value: float | None) -> None:
        """Nothing is learned from a trial."""

    def learn(self, values: Mapping[str, str], value: float | None) -> None:
        """Leave out a combination that has been tried."""
        with self._lock:
            self._open = [known for known in self._open if known != values]


class OptunaSearch:
    """Random, Bayesian and Hyperband.

    Args:
        strategy: ``Random``, ``Bayesian`` or ``Hyperband``.
        space: The hyperparameters.
        is_minimized: Whether small values of the objective are good.
        seed: Of the choices.
        first_random: How many trials a Bayesian search makes before it begins to learn.
        resources: Hyperband's least and greatest number of steps.
    """

    def __init__(
        self,
        strategy: str,
        space: Space,
        *,
        is_minimized: bool,
        seed: int,
        first_random: int = 10,
        resources: tuple[int, int] = (1, 1),
    ) -> None:
        # Imported late: it is not small, and only a tuning job needs it.
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self._space = space
        self._lock = threading.Lock()
        self._prunes = strategy == "Hyperband"
        self._max_resource = resources[1]
        self._distributions = {name: _distribution(parameter) for name, parameter in space.items()}
        seed %= _LARGEST_SEED
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = (
                # constant_liar: what runs beside it counts as bad, so that parallel trials differ.
                optuna.samplers.TPESampler(seed=seed, n_startup_trials=first_random, constant_liar=True)
                if strategy == "Bayesian"
                else optuna.samplers.RandomSampler(seed=seed)
            )
            pruner = optuna.pruners.HyperbandPruner(
                min_resource=resources[0], max_resource=resources[1], reduction_factor=_REDUCTION_FACTOR
            )
        self._study = optuna.create_study(
            study_name=f"seed-{seed}",  # Hyperband draws a trial's bracket from this name
            sampler=sampler,
            pruner=pruner if self._prunes else optuna.pruners.NopPruner(),
            direction="minimize" if is_minimized else "maximize",
        )

    def propose(self) -> Trial | None:
        """Choose the next hyperparameters."""
        with self._lock:
            ticket = self._study.ask(self._distributions)
        values = {name: _text(self._space[name], ticket.params[name]) for name in self._space}
        return Trial(values, ticket=ticket)

    def is_hopeless(self, trial: Trial) -> bool:
        """Whether Hyperband gives its steps to others, or it has had all of them."""
        if not self._prunes:
            return False
        step = len(trial.history)
        with self._lock:
            trial.ticket.report(trial.history[-1], step)
            return step >= self._max_resource or bool(trial.ticket.should_prune())

    def finish(self, trial: Trial, value: float | None) -> None:
        """Learn from a trial."""
        with self._lock:
            if value is None:
                self._study.tell(trial.ticket, state=self._optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(trial.ticket, value)

    def learn(self, values: Mapping[str, str], value: float | None) -> None:
        """Learn from a trial of before, when this space holds it."""
        if value is None or not all(
            name in values and parameter.contains(values[name]) for name, parameter in self._space.items()
        ):
            return
        params = {name: _from_text(parameter, values[name]) for name, parameter in self._space.items()}
        trial = self._optuna.trial.create_trial(params=params, distributions=self._distributions, value=value)
        with self._lock:
            self._study.add_trial(trial)


class MedianRule:
    """Early stopping ``Auto``: a training job ends that is worse than the median of the others at the same epoch.

    https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-early-stopping.html

    Args:
        is_minimized: Whether small values of the objective are good.
    """

    def __init__(self, is_minimized: bool) -> None:
        self._is_minimized = is_minimized
        self._histories: list[list[float]] = []

    def add(self, history: list[float]) -> None:
        """Keep the history of a job that has ended."""
        if history:
            self._histories.append(list(history))

    def is_hopeless(self, history: list[float]) -> bool:
        """Whether the last value is worse than the median of the earlier jobs' running averages up to that epoch."""
        epoch = len(history)
        averages = [statistics.fmean(each[:epoch]) for each in self._histories if len(each) >= epoch]
        if len(averages) < _MIN_JOBS_TO_COMPARE:
            return False
        median = statistics.median(averages)
        return history[-1] > median if self._is_minimized else history[-1] < median


def _distribution(parameter: Number | Choice) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(parameter, Choice):
        return CategoricalDistribution(parameter.values)
    is_logarithmic = parameter.scaling == "Logarithmic"
    if parameter.is_integer:
        return IntDistribution(int(parameter.low), int(parameter.high), log=is_logarithmic)
    if parameter.scaling == "ReverseLogarithmic":
        # Fine near 1: the distance to 1 is what is searched in logarithms.
        return FloatDistribution(1 - parameter.high, 1 - parameter.low, log=True)
    return FloatDistribution(parameter.low, parameter.high, log=is_logarithmic)


def _text(parameter: Number | Choice, value: Any) -> str:
    if isinstance(parameter, Number) and parameter.scaling == "ReverseLogarithmic":
        # Rounding may not lead out of the range.
        return repr(min(max(1 - float(value), parameter.low), parameter.high))
    return repr(float(value)) if isinstance(value, float) else str(value)


def _from_text(parameter: Number | Choice, text: str) -> Any:
    if isinstance(parameter, Choice):
        return text
    if parameter.is_integer:
        return int(float(text))
    value = float(text)
    if parameter.scaling == "ReverseLogarithmic":
        return min(max(1 - value, 1 - parameter.high), 1 - parameter.low)
    return value
