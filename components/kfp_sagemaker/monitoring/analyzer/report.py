"""The HTML report: violations first, then one row a feature with both distributions drawn."""

from __future__ import annotations

import html

from kfp_sagemaker.html_report import HtmlReport, Markup
from kfp_sagemaker.monitoring.analyzer.baseline import Baseline, BaselineFeature
from kfp_sagemaker.monitoring.analyzer.checks import Drift, current_distribution
from kfp_sagemaker.monitoring.analyzer.documents import category_counts
from kfp_sagemaker.monitoring.analyzer.drawings import draw_distributions, draw_drift, legend, short_number
from kfp_sagemaker.monitoring.analyzer.options import Options, Violation
from kfp_sagemaker.monitoring.analyzer.profile import ColumnProfile, Profile

# A page with more drawings than this is no help to anybody and slow to open.
DRAWN_FEATURES = 500
LISTED_VIOLATIONS = 1_000


def build_report(
    options: Options,
    baseline: Baseline | None,
    profile: Profile,
    drifts: dict[str, Drift],
    violations: list[Violation],
    warnings: list[str],
) -> str:
    """The page."""
    report = HtmlReport(options.title or _title(options, baseline), _subtitle(options, profile))
    if baseline is not None:
        _add_violations(report, violations)
    if warnings:
        report.add_text("Left out", warnings[:50])
    _add_features(report, baseline, profile, drifts, violations)
    report.add_table("Data", ["", ""], _data_rows(options, profile))
    return report.to_html()


def _title(options: Options, baseline: Baseline | None) -> str:
    subject = options.target_model or options.endpoint_name
    what = "Data quality" if baseline is not None else "Baseline"
    return f"{what} of {subject}" if subject else what


def _subtitle(options: Options, profile: Profile) -> str:
    parts = [f"{profile.rows:,} rows", f"{len(profile.columns):,} features"]
    if options.target_model and options.endpoint_name:
        parts.append(f"endpoint {options.endpoint_name}")
    if options.start_time or options.end_time:
        start, end = (
            each.strftime("%Y-%m-%d %H:%M %Z") if each else "…" for each in (options.start_time, options.end_time)
        )
        parts.append(f"{start} to {end}")
    return ", ".join(parts)


def _add_violations(report: HtmlReport, violations: list[Violation]) -> None:
    if not violations:
        report.add_text("No violations", "The data meets every constraint of the baseline.")
        return
    rows = [
        [each.feature_name, _lines(each.constraint_check_type), each.description]
        for each in violations[:LISTED_VIOLATIONS]
    ]
    if len(violations) > LISTED_VIOLATIONS:
        rows.append(["…", "", f"{len(violations) - LISTED_VIOLATIONS:,} more in constraint_violations.json"])
    count = len(violations)
    features = len({each.feature_name for each in violations})
    heading = f"{count:,} violation{'s' if count != 1 else ''} of {features:,} feature{'s' if features != 1 else ''}"
    report.add_table(heading, ["Feature", "Check", "What was found"], rows)


def _add_features(
    report: HtmlReport,
    baseline: Baseline | None,
    profile: Profile,
    drifts: dict[str, Drift],
    violations: list[Violation],
) -> None:
    violated: dict[str, list[str]] = {}
    for violation in violations:
        violated.setdefault(violation.feature_name, []).append(violation.constraint_check_type)
    names = list(dict.fromkeys([*(baseline.features if baseline is not None else ()), *profile.columns]))

    def rank(name: str) -> tuple[bool, float]:
        drift = drifts.get(name)
        return name not in violated, -_urgency(drift) if drift is not None else 1.0

    shown = sorted(names, key=rank)[:DRAWN_FEATURES]
    rows = []
    for name in shown:
        known = baseline.features.get(name) if baseline is not None else None
        rows.append(
            _feature_row(name, profile.columns.get(name), known, drifts.get(name), violated.get(name, []), baseline)
        )
    columns = ["Feature", "Type", "Present", "Distribution", "Summary"]
    if baseline is not None:
        columns[4:4] = ["Drift"]
    heading = "Features" if len(shown) == len(names) else f"Features: the first {len(shown)} of {len(names):,}"
    report.add_table(heading, columns, rows)
    if baseline is not None:
        report.add_table("Reading the drawings", ["", ""], [[legend(), _explanation()]])


def _feature_row(
    name: str,
    column: ColumnProfile | None,
    known: BaselineFeature | None,
    drift: Drift | None,
    checks: list[str],
    baseline: Baseline | None,
) -> list[object]:
    marks = "".join(f'<div style="color:var(--bad);font-size:12px">{html.escape(check)}</div>' for check in checks)
    label = Markup(f"<strong>{html.escape(name)}</strong>{marks}")
    reference = known.distribution if known is not None else None
    distribution = current_distribution(column, reference) if column is not None and column.present else None
    drawing = draw_distributions(distribution, reference)
    row: list[object] = [label, _type(column, known), _present(column, known), drawing]
    if baseline is not None:
        row.append(draw_drift(drift) if drift is not None else Markup('<span class="empty">not compared</span>'))
    row.append(_summary(column))
    return row


def _type(column: ColumnProfile | None, known: BaselineFeature | None) -> Markup:
    kind = column.inferred_type if column is not None else "missing"
    if known is None or known.inferred_type == kind:
        return _lines(kind)
    return _lines(kind, f"was {known.inferred_type}")


def _present(column: ColumnProfile | None, known: BaselineFeature | None) -> Markup:
    if column is None:
        return Markup("")
    text = f"{column.completeness:.2%}".replace(".00%", "%")
    if known is None or known.completeness is None or known.completeness == column.completeness:
        return _lines(text)
    was = f"{known.completeness:.2%}".replace(".00%", "%")
    return _lines(text, f"was {was}")


def _summary(column: ColumnProfile | None) -> Markup:
    if column is None:
        return Markup("")
    if column.inferred_type == "String":
        counts = category_counts(column)
        about = "" if counts.is_exact else "about "
        lines = [f"{about}{counts.distinct_count:,} distinct value{'s' if counts.distinct_count != 1 else ''}"]
    elif column.inferred_type == "Unknown":
        lines = []
    else:
        numbers = column.all_numbers()
        lines = [
            f"mean {short_number(numbers.mean)} ± {short_number(numbers.standard_deviation)}",
            f"{short_number(numbers.minimum)} to {short_number(numbers.maximum)}",
        ]
    if column.not_finite:
        lines.append(f"{column.not_finite:,} NaN or infinite, taken as missing")
    return Markup("".join(f'<div style="white-space:nowrap">{html.escape(line)}</div>' for line in lines))


def _lines(text: str, remark: str = "") -> Markup:
    small = f'<div class="empty">{html.escape(remark)}</div>' if remark else ""
    return Markup(f'<div style="white-space:nowrap">{html.escape(text)}{small}</div>')


def _data_rows(options: Options, profile: Profile) -> list[list[object]]:
    rows: list[list[object]] = [["Data", ", ".join(options.dataset_sources)], ["Format", options.format.name]]
    if options.baseline_statistics or options.baseline_constraints:
        rows.append(["Baseline", ", ".join(filter(None, [options.baseline_statistics, options.baseline_constraints]))])
    if options.endpoint_name:
        rows.append(["Endpoint", options.endpoint_name])
    if options.target_model:
        rows.append(["Target model", options.target_model])
    if options.monitoring_schedule_name:
        rows.append(["Monitoring schedule", options.monitoring_schedule_name])
    if options.record_preprocessor:
        rows.append(["Record preprocessor", options.record_preprocessor])
    rows.append(["Rows", f"{profile.rows:,}"])
    return rows


def _explanation() -> str:
    return (
        "Each height is a share of the rows. The outermost bars hold everything beyond. The mark on the drift is the "
        "threshold, above which it is a violation."
    )


def _urgency(drift: Drift) -> float:
    if drift.is_p_value:
        return drift.threshold / max(drift.value, 1e-300)
    return drift.value / max(drift.threshold, 1e-300)
