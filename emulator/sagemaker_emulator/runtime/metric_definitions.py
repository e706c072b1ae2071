"""The MetricDefinitions of the built-in algorithms, as DescribeTrainingJob answers them on AWS."""

from __future__ import annotations

MetricDefinitions = tuple[tuple[str, str], ...]
"""Pairs of metric name and the regular expression whose first group is its value."""

_QUALITY = r"#quality_metric: host=\S+, {data} {pattern} <{sense}>=(\S+)"
_PROGRESS = ("train:progress", r"#progress_metric: host=\S+, completed (\S+) %")
_THROUGHPUT = ("train:throughput", r"#throughput_metric: host=\S+, train throughput=(\S+) records/second")

# Name, how the log spells it, whether it is a loss or a score.
_LINEAR_LEARNER_QUALITIES = (
    ("mse", "mse", "loss"),
    ("absolute_loss", "absolute_loss", "loss"),
    ("precision", "precision", "score"),
    ("recall", "recall", "score"),
    ("binary_f_beta", r"binary_f_\S+", "score"),
    ("binary_classification_accuracy", "binary_classification_accuracy", "score"),
    ("macro_precision", "macro_precision", "score"),
    ("macro_recall", "macro_recall", "score"),
    ("macro_f_beta", r"macro_f_\S+", "score"),
    ("multiclass_accuracy", "multiclass_accuracy", "score"),
    ("multiclass_top_k_accuracy", r"multiclass_top_k_accuracy_\S+", "score"),
    ("dcg", "dcg", "score"),
)
_ONLY_OF_TRAIN = {"mse", "absolute_loss", "precision", "recall", "binary_f_beta", "binary_classification_accuracy"}

LINEAR_LEARNER: MetricDefinitions = (
    _PROGRESS,
    _THROUGHPUT,
    *(
        (f"{data}:{name}", _QUALITY.format(data=data, pattern=pattern, sense=sense))
        for data in ("train", "validation", "test")
        for name, pattern, sense in _LINEAR_LEARNER_QUALITIES
        if data != "train" or name in _ONLY_OF_TRAIN
    ),
    *(
        (f"{data}:objective_loss", rf"#quality_metric: host=\S+, epoch=\S+, {data} \S+_objective <loss>=(\S+)")
        for data in ("train", "validation")
    ),
    *(
        (name, _QUALITY.format(data=name.split(":")[0], pattern=r"\S+_objective", sense="loss"))
        for name in ("train:objective_loss:final", "validation:objective_loss:final", "test:objective_loss")
    ),
)

KMEANS: MetricDefinitions = (
    _PROGRESS,
    _THROUGHPUT,
    *(
        (f"{data}:{name}", _QUALITY.format(data=data, pattern=name, sense="loss"))
        for data in ("train", "test")
        for name in ("msd", "ssd")
    ),
)

_XGBOOST_METRICS = (
    "accuracy aft-nloglik auc aucpr balanced_accuracy error f1 f1_macro gamma-nloglik logloss mae map mape merror "
    "mlogloss mse ndcg poisson-nloglik precision r2 recall rmse rmsle tweedie-nloglik"
)

XGBOOST: MetricDefinitions = tuple(
    (f"{data}:{name}", rf".*\[[0-9]+\].*#011{data}-{name}(?:@\S+?)?:([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?).*")
    for data in ("train", "validation")
    for name in _XGBOOST_METRICS.split()
)
