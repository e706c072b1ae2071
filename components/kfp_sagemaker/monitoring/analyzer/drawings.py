"""Small drawings of distributions for a row of the report: inline SVG in the page's colours."""

from __future__ import annotations

import html

import numpy as np

from kfp_sagemaker.html_report import Markup, format_number
from kfp_sagemaker.monitoring.analyzer.checks import Drift
from kfp_sagemaker.monitoring.analyzer.distances import Distribution
from kfp_sagemaker.monitoring.analyzer.quantiles import FloatArray

WIDTH, HEIGHT = 236, 64
_PLOT = HEIGHT - 16
_BINS = 28
# Values beyond these shares of both distributions go into the outermost bins: one outlier does not flatten the rest.
_TAIL = 0.005
_MOST_CATEGORIES = 12
_BASELINE, _CURRENT = "var(--muted)", "var(--accent)"
_BASELINE_OPACITY = 0.4


def draw_distributions(current: Distribution | None, baseline: Distribution | None) -> Markup:
    """Both distributions on top of each other: the baseline as grey bars, the current one in colour."""
    known = [each for each in (current, baseline) if each is not None and each.total]
    if not known:
        return Markup('<span class="empty">no values</span>')
    current, baseline = (each if each in known else None for each in (current, baseline))
    numerical = [each for each in known if each.is_numerical]
    if not numerical:
        return _draw_categories(current, baseline)
    if len(numerical) < len(known):
        baseline = baseline if baseline in numerical else None
        current = current if current in numerical else None
    return _draw_numbers(current, baseline, numerical)


def draw_drift(drift: Drift) -> Markup:
    """The drift as a bar up to twice the threshold, which is marked."""
    color = "var(--bad)" if drift.is_violation else "var(--good)"
    label = format_number(round(drift.value, 4))
    if drift.is_p_value:
        text = f"p = {label}, a violation below {format_number(drift.threshold)}"
        return Markup(f'<span style="color:{color}" title="{text}">p = {label}</span>')
    share = min(1.0, drift.value / (2 * drift.threshold)) if drift.threshold > 0 else float(drift.value > 0)
    text = f"distance {label}, a violation above {format_number(drift.threshold)}"
    return Markup(
        f'<svg width="96" height="30" viewBox="0 0 96 30" role="img" aria-label="{text}"><title>{text}</title>'
        f'<text x="0" y="11" font-size="12" fill="{color}">{label}</text>'
        f'<rect x="0" y="18" width="90" height="6" rx="3" fill="var(--grid)"/>'
        f'<rect x="0" y="18" width="{90 * share:.1f}" height="6" rx="3" fill="{color}"/>'
        f'<path d="M45 15v12" stroke="var(--ink)"/></svg>'
    )


def legend() -> Markup:
    """What the colours mean."""
    return Markup(
        '<svg width="170" height="14" viewBox="0 0 170 14" role="img" aria-label="grey: baseline, colour: current">'
        f'<rect y="2" width="10" height="10" fill="{_BASELINE}" fill-opacity="{_BASELINE_OPACITY}"/>'
        f'<text x="15" y="11" font-size="12" fill="currentColor">baseline</text>'
        f'<rect x="82" y="2" width="10" height="10" fill="{_CURRENT}" fill-opacity="0.25" stroke="{_CURRENT}"/>'
        f'<text x="97" y="11" font-size="12" fill="currentColor">current</text></svg>'
    )


def _draw_numbers(current: Distribution | None, baseline: Distribution | None, known: list[Distribution]) -> Markup:
    low = min(_quantile(each, _TAIL) for each in known)
    high = max(_quantile(each, 1 - _TAIL) for each in known)
    if low == high:
        low, high = low - 0.5, high + 0.5
    bounds = low / _BINS * np.arange(_BINS, -1, -1) + high / _BINS * np.arange(_BINS + 1)
    bars = {id(each): _bins(each, bounds) for each in known}
    top = max(float(shares.max()) for shares in bars.values()) or 1.0
    step = WIDTH / _BINS
    parts = []
    if baseline is not None:
        for at, share in enumerate(bars[id(baseline)]):
            height = _PLOT * share / top
            if height > 0:
                parts.append(f"M{at * step + 0.5:.1f} {_PLOT:g}v{-height:.1f}h{step - 1:.1f}V{_PLOT:g}z")
        parts = [f'<path d="{"".join(parts)}" fill="{_BASELINE}" fill-opacity="{_BASELINE_OPACITY}"/>']
    if current is not None:
        line = "".join(
            f"L{at * step:.1f} {_PLOT - _PLOT * share / top:.1f}H{(at + 1) * step:.1f}"
            for at, share in enumerate(bars[id(current)])
        )
        parts.append(
            f'<path d="M0 {_PLOT:g}{line}V{_PLOT:g}" fill="{_CURRENT}" fill-opacity="0.18" stroke="{_CURRENT}" '
            'stroke-width="1.5" stroke-linejoin="round"/>'
        )
    axis = (
        f'<text y="{HEIGHT - 2}" font-size="10.5" fill="var(--muted)">{short_number(low)}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT - 2}" font-size="10.5" text-anchor="end" fill="var(--muted)">'
        f"{short_number(high)}</text>"
    )
    return _svg("".join(parts) + axis)


def _draw_categories(current: Distribution | None, baseline: Distribution | None) -> Markup:
    shares: dict[str, tuple[float, float]] = {}
    for each in (baseline, current):
        for value in each.counts if each is not None else ():
            shares[value] = (_share(baseline, value), _share(current, value))
    ranked = sorted(shares.items(), key=lambda item: (-max(item[1]), item[0]))
    shown = ranked[:_MOST_CATEGORIES]
    top = max((max(pair) for _, pair in shown), default=1.0) or 1.0
    step = WIDTH / max(len(shown), 4)
    letters = max(2, int(step / 6))
    parts = []
    for at, (value, (before, now)) in enumerate(shown):
        text = html.escape(
            f"{value}: {before:.1%} in the baseline, {now:.1%} now" if baseline else f"{value}: {now:.1%}"
        )
        left = at * step
        name = html.escape(value if len(value) <= letters else value[: letters - 1] + "…")
        parts.append(f"<g><title>{text}</title>")
        if baseline is not None:
            parts.append(
                _bar(
                    left + step * 0.08,
                    step * 0.4,
                    before / top,
                    f'fill="{_BASELINE}" fill-opacity="{_BASELINE_OPACITY}"',
                )
            )
        wide = f'fill="{_CURRENT}" fill-opacity="0.25" stroke="{_CURRENT}" stroke-width="1.2"'
        parts.append(
            _bar(left + step * (0.52 if baseline else 0.2), step * (0.4 if baseline else 0.6), now / top, wide)
        )
        middle = left + step / 2
        parts.append(
            f'<text x="{middle:.1f}" y="{HEIGHT - 2}" font-size="10.5" text-anchor="middle" fill="var(--muted)">{name}'
            "</text></g>"
        )
    return _svg("".join(parts))


def _bar(left: float, width: float, share: float, style: str) -> str:
    height = max(_PLOT * share, 0.8 if share else 0)
    return f'<rect x="{left:.1f}" y="{_PLOT - height:.1f}" width="{width:.1f}" height="{height:.1f}" {style}/>'


def _svg(content: str) -> Markup:
    return Markup(
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="distribution">'
        f'{content}<path d="M0 {_PLOT}h{WIDTH}" stroke="var(--grid)"/></svg>'
    )


def _bins(distribution: Distribution, bounds: FloatArray) -> FloatArray:
    shares = distribution.shares_at(bounds[1:-1])
    return np.diff(shares, prepend=0.0, append=1.0)


def _quantile(distribution: Distribution, share: float) -> float:
    at = int(np.searchsorted(distribution.ranks, share * distribution.ranks[-1]))
    return float(distribution.values[min(at, len(distribution.values) - 1)])


def _share(distribution: Distribution | None, value: str) -> float:
    return (
        distribution.counts.get(value, 0) / distribution.total
        if distribution is not None and distribution.total
        else 0.0
    )


def short_number(value: float) -> str:
    """A number to four digits."""
    return format_number(float(f"{value:.4g}"))
