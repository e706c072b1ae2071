"""A run of a flow as Markdown: for the pull request, the build's log or a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

from kfp_sagemaker.flow import gates
from kfp_sagemaker.flow.cost import PriceTable
from kfp_sagemaker.flow.result import CurvePoint, FlowResult, GateResult, Job

# Comments on GitHub hold 65,536 characters; a reason with a traceback in it should leave room for other flows.
MAX_CHARACTERS = 65_536
_MAX_REASON_CHARACTERS = 3000
_SPARKS = "▁▂▃▄▅▆▇█"
_MAX_SPARKS = 40
_SHORT_COMMIT = 7


def render(
    results: Sequence[FlowResult], prices: PriceTable, *, build_url: str = "", problems: Sequence[str] = ()
) -> str:
    """The report about one or several flows.

    Args:
        results: The runs.
        prices: For the estimate of the cost.
        build_url: Page of the build that ran them; may be empty.
        problems: Why a run has no result.

    Returns:
        Markdown that GitHub shows as meant, and people read as it is.
    """
    sections = [_flow(result, prices) for result in results]
    if problems:
        listed = "\n".join(problems)
        sections.append(f"## ❌ A flow has no result\n\nIt did not run to its end; see the build.\n\n{_fenced(listed)}")
    foot = "Cost is an estimate: billable seconds times on-demand list prices of "
    foot += f"{prices.region} ({prices.currency}, {prices.as_of}); the bill is AWS's."
    if build_url:
        foot += f" [Build]({build_url})"
    text = "\n\n---\n\n".join(sections) + f"\n\n<sub>{foot}</sub>\n"
    if len(text) > MAX_CHARACTERS:
        note = "\n\n(cut off here; the file of the build has all of it)\n"
        text = text[: MAX_CHARACTERS - len(note)] + note
    return text


def headline(result: FlowResult) -> str:
    """The verdict in a few words, without Markdown: also the description of a commit's status."""
    missed = _missed(result)
    if missed:
        first = gates.sentence(missed[0])
        return f"{len(missed)} of {len(result.gates)} gates missed: {first}"
    if result.status != "Succeeded":
        return f"failed: {result.failure_reason.strip().splitlines()[0]}" if result.failure_reason else "failed"
    if not result.gates:
        return "succeeded; it has no gates"
    return f"{'every gate' if len(result.gates) > 1 else 'its gate'} passed"


def succeeded(result: FlowResult) -> bool:
    """Whether the change may be merged as far as the flow is concerned."""
    return result.status == "Succeeded" and all(gate.passed for gate in result.gates)


def _flow(result: FlowResult, prices: PriceTable) -> str:
    good = succeeded(result)
    missed = _missed(result)
    title = headline(result) if good or not missed else f"{len(missed)} of {len(result.gates)} gates missed"
    parts = [f"## {'✅' if good else '❌'} {_text(result.flow)}: {_text(_cut(title, 120))}", _facts(result)]
    if missed:
        parts.append("\n".join(f"- **{_text(gates.sentence(gate))}**" for gate in missed))
    if result.failure_reason and not missed:
        parts.append(_fenced(_cut(result.failure_reason.strip(), _MAX_REASON_CHARACTERS)))
    if result.metrics:
        parts.append(_metrics(result))
    if result.gates and (result.metrics or good):
        parts.append(_gates(result))
    if result.learning_curve:
        parts.append(_learning_curve(result.learning_curve))
    if result.jobs:
        parts.append(_jobs(result.jobs, prices))
    if result.model_data_url:
        parts.append(f"Model: `{result.model_data_url}`")
    return "\n\n".join(parts)


def _missed(result: FlowResult) -> list[GateResult]:
    """The gates that were missed; of a run that failed before there were metrics, none says anything."""
    return [gate for gate in result.gates if not gate.passed] if result.metrics else []


def _facts(result: FlowResult) -> str:
    facts = [f"commit `{result.commit[:_SHORT_COMMIT]}`" if result.commit else "no commit"]
    if result.branch:
        facts.append(f"branch {_text(result.branch)}")
    facts.append(f"engine {result.engine}")
    seconds = (datetime.fromisoformat(result.ended_at) - datetime.fromisoformat(result.started_at)).total_seconds()
    facts.append(_duration(seconds))
    facts += [f"[{_text(label)}]({url})" for label, url in result.links.items()]
    return " · ".join(facts)


def _metrics(result: FlowResult) -> str:
    main = f"main (`{result.main_commit[:_SHORT_COMMIT]}`)" if result.main_commit else "main"
    known = dict(result.main_metrics) or {
        gate.metric: gate.main_value for gate in result.gates if gate.main_value is not None
    }
    rows = []
    for name, value in sorted(result.metrics.items()):
        before = known.get(name)
        rows.append([_text(name), _number(value), _number(before), _delta(name, value, before)])
    table = _table(["metric", "this change", main, "difference"], "lrrr", rows)
    return table if known else table + "\n\nThe main branch has no metrics of this flow yet."


def _delta(name: str, value: float, before: float | None) -> str:
    if before is None:
        return ""
    difference = value - before
    if not difference:
        return "±0"
    share = f" ({_percent(100 * difference / abs(before))})" if before else ""
    if name == "row_count":
        return f"{difference:+.5g}{share}"
    is_better = (difference < 0) == (name in gates.LESS_IS_BETTER)
    return f"{difference:+.5g}{share} {'better' if is_better else 'worse'}"


def _gates(result: FlowResult) -> str:
    rows = []
    for gate in result.gates:
        wanted = {
            "at_least": f"at least {gate.limit:g}",
            "at_most": f"at most {gate.limit:g}",
            "no_worse_than_main_by": f"no worse than main by more than {gate.limit:g}",
        }[gate.kind]
        by = "" if gate.passed else ("no value" if gate.missed_by is None else f"{gate.missed_by:.3g}")
        rows.append([_text(gate.metric), wanted, _number(gate.value), "✅ passed" if gate.passed else "❌ missed", by])
    return _table(["gate", "wanted", "value", "verdict", "missed by"], "llrlr", rows)


def _learning_curve(points: Sequence[CurvePoint]) -> str:
    rows = []
    for name in dict.fromkeys(point.metric for point in points):
        values = [
            point.value
            for point in sorted(points, key=lambda each: (each.step, each.timestamp))
            if point.metric == name
        ]
        count = f"{len(values)} value{'s' if len(values) != 1 else ''}"
        rows.append([_text(name), sparkline(values), f"{_number(values[0])} → {_number(values[-1])}", count])
    return _table(["learning curve", "", "first → last", ""], "llrr", rows)


def sparkline(values: Sequence[float]) -> str:
    """A line of text as a chart: each character a value, or the mean of neighbours where there are many.

    Args:
        values: At least one; what is no number is left out.
    """
    known = [value for value in values if abs(value) < float("inf")]
    if not known:
        return ""
    count = min(len(known), _MAX_SPARKS)
    edges = [len(known) * index // count for index in range(count + 1)]
    means = [sum(known[low:high]) / (high - low) for low, high in pairwise(edges)]
    low, span = min(means), max(means) - min(means)
    top = len(_SPARKS) - 1
    return "".join(_SPARKS[round((mean - low) / span * top) if span else top // 2] for mean in means)


def _jobs(jobs: Sequence[Job], prices: PriceTable) -> str:
    rows = []
    for job in jobs:
        name = f"[{_text(job.name)}]({job.url})" if job.url else _text(job.name)
        ran_on = f"{job.instance_count} x {job.instance_type}" if job.instance_type else ""
        cost = prices.of(job)
        paid = "reused" if job.reused else ("no price" if cost is None else _money(cost, prices.currency))
        seconds = _duration(job.dpu_seconds) + " DPU" if job.kind == "glue" else _duration(job.billable_seconds)
        log = f"[log]({job.logs_url})" if job.logs_url else ""
        rows.append([job.kind, name, _text(job.status), ran_on, seconds, paid, log])
    total, unknown = prices.total(jobs)
    rows.append(["**all**", "", "", "", "", f"**{_money(total, prices.currency)}**", ""])
    table = _table(["job", "name", "status", "instances", "billable", "cost (estimate)", "log"], "llllrrl", rows)
    if unknown:
        table += f"\n\nWithout a price, and not in the sum: {', '.join(unknown)}. Give a table with `--prices`."
    return table


def _table(columns: Sequence[str], alignment: str, rows: Iterable[Sequence[str]]) -> str:
    marks = {"l": "---", "r": "---:"}
    lines = [columns, [marks[letter] for letter in alignment], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(value: str) -> str:
    """Text that Markdown and HTML leave alone."""
    # An underscore inside of a word is one to GitHub, too.
    escaped = re.sub(r"([\\`*\[\]|~#]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(value.split()))
    return escaped.replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")


def _fenced(value: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", value)), default=0))
    return f"{fence}\n{value}\n{fence}"


def _cut(value: str, length: int) -> str:
    return value if len(value) <= length else f"{value[: length - 3]}..."


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.6g}"


def _percent(value: float) -> str:
    return f"{value:+,.0f} %" if abs(value) >= 10 else f"{value:+.2g} %"


def _money(value: float, currency: str) -> str:
    return f"{value:,.4f} {currency}" if value < 1 else f"{value:,.2f} {currency}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
