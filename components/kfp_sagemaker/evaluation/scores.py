"""What a prediction says: a value, a class, or how likely each class is; in the forms SageMaker's algorithms answer.

======================================  ==============================================================================
A number                                the value; binary: the positive class's score; several classes: the class
``0.1,0.7,0.2`` or ``[0.1, 0.7, 0.2]``  a probability a class (XGBoost's ``multi:softprob``, scikit-learn's
                                        ``predict_proba``)
``{"score": s, "predicted_label": l}``  linear learner; k-NN without ``score``; ``score`` is a number or a list
``{"predictions": [...]}``              one of these
text                                    the class
======================================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kfp_sagemaker.aws.errors import DataError
from kfp_sagemaker.evaluation.predictions import as_number, clean

_SCORE_KEYS = ("score", "predicted_value", "probabilities", "probability", "prediction")


class Answer(NamedTuple):
    """What a model says of a row; None where it does not say."""

    label: str | None
    scores: list[float] | None


def read(prediction: Any, row: int) -> Answer:
    """Take a prediction apart.

    Args:
        prediction: As it came.
        row: Number of the row, for the message.

    Raises:
        DataError: It is none of the known forms.
    """
    if isinstance(prediction, Mapping):
        inner = prediction.get("predictions")
        if isinstance(inner, list) and len(inner) == 1:
            return read(inner[0], row)
        label = prediction.get("predicted_label")
        raw = next((prediction[key] for key in _SCORE_KEYS if key in prediction), None)
        answer = Answer(None, None) if raw is None else read(raw, row)
        if label is None and answer == (None, None):
            raise _unreadable(prediction, row)
        return Answer(clean(label) if label is not None else answer.label, answer.scores)
    if isinstance(prediction, list | tuple):
        numbers = [as_number(value) for value in prediction]
        scores = [number for number in numbers if number is not None]
        if not scores or len(scores) < len(numbers):
            raise _unreadable(prediction, row)
        return Answer(None, scores)
    number = as_number(prediction)
    if number is not None:
        return Answer(None, [number])
    if isinstance(prediction, str) and prediction:
        return Answer(clean(prediction), None)
    raise _unreadable(prediction, row)


def single(answer: Answer, prediction: Any, row: int) -> float:
    """The one number of an answer.

    Raises:
        DataError: It has none, or several.
    """
    if answer.scores is None or len(answer.scores) != 1:
        raise DataError(f"row {row}: the prediction {prediction!r} is not a number, which regression needs")
    return answer.scores[0]


def positive_score(scores: Sequence[float], prediction: Any, row: int) -> float:
    """The score of the positive class: the only one, or the second of two.

    Raises:
        DataError: There are more.
    """
    if len(scores) > 2:
        raise DataError(
            f"row {row}: the prediction {prediction!r} has {len(scores)} scores; with more than two classes, "
            "problem_type is multiclass_classification"
        )
    return scores[-1]


def _unreadable(prediction: Any, row: int) -> DataError:
    return DataError(
        f"row {row}: the prediction {prediction!r} is none of a number, a class, a list of scores, or a JSON object "
        "with score or predicted_label"
    )
