"""Draws each pipeline's picture (``docs/images/<name>.svg``) from its compiled YAML."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from kfp_sagemaker.cli.catalogue import list_pipelines
from kfp_sagemaker.cli.pipeline_file import PipelineFile, Task
from scripts.generators.generated import ROOT, Generated

WIDTH = 980
STEP_WIDTH, STEP_HEIGHT = 150, 62
GAP_X, GAP_Y, PAD, HEADER = 30, 30, 18, 30
NAME_CHARACTERS = 18
GROUP_NOTES = {
    "loop": "for each item, side by side",
    "condition": "if it is asked for",
    "exit_handler": "however it ends, the exit step follows",
    "group": "",
}

STYLE = """
  svg { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
  .step { fill: #ffffff; stroke: #3b82d0; stroke-width: 1.4; } .own { stroke: #2fa37c; }
  .group { fill: #3b82d0; fill-opacity: 0.05; stroke: #8a94a0; stroke-width: 1.2; stroke-dasharray: 5 4; }
  .loop { stroke-dasharray: none; } .shadow { fill: none; stroke: #8a94a0; stroke-opacity: 0.45; }
  .name { fill: #1c2024; font-size: 13px; font-weight: 600; } .component { fill: #626a73; font-size: 11px;
    font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
  .title { fill: #1c2024; font-size: 13px; font-weight: 700; } .note { fill: #626a73; font-weight: 400; }
  .arrow { fill: none; stroke: #626a73; stroke-width: 1.5; marker-end: url(#head); } .head { fill: #626a73; }
  @media (prefers-color-scheme: dark) { .step { fill: #1c2024; } .name, .title { fill: #e8eaed; }
    .component, .note { fill: #9aa3ad; } .arrow { stroke: #9aa3ad; } .head { fill: #9aa3ad; } }
""".strip("\n")


@dataclass
class Box:
    """A task with its place; positions are absolute once the parent is placed."""

    task: Task
    width: float = STEP_WIDTH
    height: float = STEP_HEIGHT
    x: float = 0
    y: float = 0
    row: int = 0
    children: list[Box] = field(default_factory=list)

    def move(self, x: float, y: float) -> None:
        """Shift it with all inside."""
        self.x += x
        self.y += y
        for child in self.children:
            child.move(x, y)


def generate() -> Iterator[Generated]:
    """The picture of each pipeline."""
    for folder in list_pipelines(ROOT / "pipelines"):
        pipeline = PipelineFile(folder.compiled)
        yield Generated(ROOT / "docs" / "images" / f"{folder.name}.svg", draw(pipeline))


def draw(pipeline: PipelineFile) -> str:
    """A pipeline as SVG."""
    boxes = [lay_out(task, WIDTH) for task in pipeline.tasks]
    width, height = flow(boxes, WIDTH)
    components = {task.component: function_name(pipeline, task) for task in pipeline.all_tasks() if task.kind == "step"}
    body = "\n".join(line for box in boxes for line in draw_box(box, components))
    arrows = "\n".join(draw_arrows(boxes))
    margin = 6
    view = f"{-margin} {-margin} {width + 2 * margin:g} {height + 2 * margin + 4:g}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" role="img">\n'
        f"<title>The steps of {escape(pipeline.name)}</title>\n<style>\n{STYLE}\n</style>\n"
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path class="head" d="M0,0 L8,4 L0,8 z"/></marker></defs>\n{body}\n{arrows}\n</svg>\n'
    )


def lay_out(task: Task, max_width: float) -> Box:
    """Give a task its size, and the tasks inside of it their places."""
    if task.kind == "step":
        return Box(task)
    children = [lay_out(child, max_width - 2 * PAD) for child in task.children]
    width, height = flow(children, max_width - 2 * PAD)
    for child in children:
        child.move(PAD, HEADER)
    return Box(task, width + 2 * PAD, height + HEADER + PAD, children=children)


def flow(boxes: list[Box], max_width: float) -> tuple[float, float]:
    """Place boxes beside each other, in rows like words; returns the size of all."""
    x = y = row_height = width = 0.0
    row = 0
    for box in boxes:
        if x and x + box.width > max_width:
            x, y, row, row_height = 0, y + row_height + GAP_Y, row + 1, 0
        box.move(x, y)
        box.row = row
        x += box.width
        width, row_height = max(width, x), max(row_height, box.height)
        x += GAP_X
    return width, y + row_height


def draw_box(box: Box, components: dict[str, str]) -> Iterator[str]:
    """A step, or a group with what is in it."""
    task = box.task
    frame = f'x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}"'
    if task.kind == "step":
        component = components[task.component]
        own = "" if component in SUITE else " own"
        yield f'<rect class="step{own}" {frame} rx="8"/>'
        lines = textwrap.wrap(task.display_name, NAME_CHARACTERS)
        top = box.y + (25 if len(lines) == 1 else 20)
        middle = box.x + box.width / 2
        for number, line in enumerate(lines):
            place = f'text-anchor="middle" x="{middle:g}" y="{top + 15 * number:g}"'
            yield f'<text class="name" {place}>{escape(line)}</text>'
        bottom = box.y + box.height - 10
        yield f'<text class="component" text-anchor="middle" x="{middle:g}" y="{bottom:g}">{escape(component)}</text>'
        return
    if task.kind == "loop":  # a second sheet behind the first
        behind = f"M{box.x + 8:g},{box.y + box.height + 5:g} h{box.width - 8:g} q5,0 5,-5 v{-(box.height - 12):g}"
        yield f'<path class="shadow" d="{behind}"/>'
    yield f'<rect class="group {task.kind}" {frame} rx="10"/>'
    note = GROUP_NOTES[task.kind]
    note = f'<tspan class="note">  {note}</tspan>' if note else ""
    title = f"{escape(task.display_name)}{note}"
    yield f'<text class="title" xml:space="preserve" x="{box.x + PAD:g}" y="{box.y + 20:g}">{title}</text>'
    for child in box.children:
        yield from draw_box(child, components)


def draw_arrows(boxes: list[Box]) -> Iterator[str]:
    """An arrow to each box from those it waits for, unless one of them already waits for the other."""
    for index, after in enumerate(boxes):
        earlier = boxes[:index]
        tasks = [box.task for box in earlier]
        upstream = [box for box in earlier if waits_for(after.task, tasks, box.task)]
        for before in upstream:
            if any(waits_for(other.task, tasks, before.task) for other in upstream):
                continue
            if before.row == after.row:
                y = before.y + STEP_HEIGHT / 2
                path = f"M{before.x + before.width:g},{y:g} H{after.x - 2:g}"
            else:
                start, end = before.y + before.height, after.x + min(STEP_WIDTH, after.width) / 2
                middle = before.y + max(box.height for box in boxes if box.row == before.row) + GAP_Y / 2
                path = f"M{before.x + before.width / 2:g},{start:g} V{middle:g} H{end:g} V{after.y - 2:g}"
            yield f'<path class="arrow" d="{path}"/>'
    for box in boxes:
        yield from draw_arrows(box.children)


def waits_for(task: Task, earlier: list[Task], upstream: Task) -> bool:
    """Whether a task needs another one to be over, by itself or through others."""
    direct = set(task.spec.get("dependentTasks", []))
    if upstream.name in direct:
        return True
    return any(waits_for(each, earlier, upstream) for each in earlier if each.name in direct)


def function_name(pipeline: PipelineFile, task: Task) -> str:
    """The component a step runs."""
    label = pipeline.spec["components"][f"comp-{task.component}"]["executorLabel"]
    arguments = pipeline.spec["deploymentSpec"]["executors"][label]["container"]["args"]
    return str(arguments[arguments.index("--function_to_execute") + 1])


def _suite() -> frozenset[str]:
    from kfp_sagemaker import components

    return frozenset(components.__all__)


SUITE = _suite()
