"""Shows a run while it goes on: a table that renews itself in a terminal, a line an event elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from kfp_sagemaker.cli.pipeline_file import Task
from kfp_sagemaker.cli.run_state import RunState, Step

SYMBOLS: dict[str, Text] = {
    "succeeded": Text("✓", "green"),
    "failed": Text("✗", "bold red"),
    "cancelled": Text("■", "yellow"),
}
# What a group of steps is in, seen from outside.
_PRECEDENCE = ["running", "failed", "cancelled", "succeeded"]
_WAITING, _SKIPPED = Text("·", "dim"), Text("-", "dim")


def duration(seconds: float) -> str:
    """``8.3 s``, or ``2:05 min``."""
    return f"{seconds:.1f} s" if seconds < 100 else f"{int(seconds) // 60}:{int(seconds) % 60:02} min"


class ProgressTable:
    """The steps as they stand, drawn anew at each refresh."""

    def __init__(self, state: RunState) -> None:
        self.state = state
        self._spinner = Spinner("dots", style="cyan")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the table."""
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=1)
        table.add_column()
        table.add_column(justify="right", style="dim")
        for task in self.state.pipeline.tasks:
            self._add(table, task, 0)
        yield table

    def _add(self, table: Table, task: Task, depth: int) -> None:
        steps = self.state.steps_of(task)
        if task.kind == "step":
            self._add_row(table, steps[-1:], task.display_name, depth)
            return
        length = sum(each.kind == "step" for each in task.walk())
        note = ""
        if task.kind == "loop" and (size := self.state.loop_size(task)):
            succeeded = Counter(step.iterations for step in steps if step.status == "succeeded")
            note = f"  {sum(count == length for count in succeeded.values())} of {size}"
        self._add_row(table, steps, task.display_name, depth, note, is_group=True)
        if task.kind != "loop":
            for child in task.children:
                self._add(table, child, depth + 1)
            return
        for iteration in dict.fromkeys(step.iterations for step in steps):
            inner = [step for step in steps if step.iterations == iteration]
            running = [step.task.display_name for step in inner if step.status == "running"]
            bad = [step.task.display_name for step in inner if step.status in ("failed", "cancelled")]
            done = sum(step.status == "succeeded" for step in inner)
            doing = ", ".join(running or bad)
            text = f"{inner[0].labels[-1]:<18} [dim]{done}/{length}  {doing}[/dim]"
            unfinished = not (running or bad) and done < length
            self._add_row(table, inner, text, depth + 1, is_unfinished=unfinished)

    def _add_row(
        self,
        table: Table,
        steps: list[Step],
        text: str,
        depth: int,
        note: str = "",
        *,
        is_group: bool = False,
        is_unfinished: bool = False,
    ) -> None:
        indented = "  " * depth + text
        if not steps:
            table.add_row(_SKIPPED if self.state.finished else _WAITING, f"[dim]{indented}[/dim]", "")
            return
        statuses = {step.status for step in steps}
        status = next(status for status in _PRECEDENCE if status in statuses)
        ends = [step.finished or self._now() for step in steps]
        elapsed = duration(max(ends) - min(step.started for step in steps))
        is_active = status == "running" or (is_unfinished and self.state.finished is None)
        symbol: RenderableType = self._spinner if is_active else SYMBOLS[status]
        table.add_row(Text("") if is_group and status != "failed" else symbol, f"{indented}[dim]{note}[/dim]", elapsed)

    def _now(self) -> float:
        return self.state.started + self.state.elapsed_seconds()


@contextmanager
def shown(state: RunState, console: Console) -> Iterator[None]:
    """Keep the table on the terminal while the block runs; does nothing where the output is no terminal."""
    if not console.is_terminal:
        yield
        return
    with Live(ProgressTable(state), console=console, refresh_per_second=10):
        yield


def event_line(step: Step, run_seconds: float) -> Text | None:
    """A line for a step that has just finished, for output that is no terminal; None for one that started."""
    if step.status == "running":
        return None
    elapsed = duration(step.elapsed_seconds(step.started))
    return Text.assemble(f"{run_seconds:6.1f} s  ", SYMBOLS[step.status], f" {step.title}", (f"  {elapsed}", "dim"))


def table_of(columns: Iterable[str], rows: Iterable[Iterable[object]], title: str = "") -> Table:
    """A table of a step's output."""
    table = Table(title=title or None, title_justify="left", title_style="bold", header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column)
    for row in rows:
        values = [f"{value:g}" if isinstance(value, float) else str(value) for value in row]
        table.add_row(*values)
    return table
