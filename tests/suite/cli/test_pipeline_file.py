from __future__ import annotations

import pytest

from kfp_sagemaker.aws.errors import InputError
from kfp_sagemaker.cli.pipeline_file import PipelineFile, Task, item_label


def outline(tasks: list[Task]) -> list[object]:
    return [
        (task.display_name, task.kind, outline(task.children)) if task.children else task.display_name for task in tasks
    ]


def test_tasks_form_a_tree_in_the_order_they_run(toy: PipelineFile) -> None:
    assert outline(toy.tasks) == [
        (
            "All of it",
            "exit_handler",
            [
                "make-items",
                ("Each town", "loop", ["Work"]),
                "Add up",
                ("Enough", "condition", ["Celebrate"]),
            ],
        ),
        "Say goodbye",
    ]
    assert [task.display_name for task in toy.all_tasks() if task.is_exit_task] == ["Say goodbye"]


def test_name_description_and_parameters(toy: PipelineFile) -> None:
    assert (toy.name, toy.description) == ("toy", "Doubles numbers")
    assert toy.parameters["count"].default == 3
    assert not toy.parameters["count"].is_required


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "7", 7),
        ("marker", "7", "7"),
        ("share", "1", 1.0),
        ("towns", "a, b", ["a", "b"]),
        ("towns", '["a,b"]', ["a,b"]),
        ("more", '{"a": 1}', {"a": 1}),
    ],
)
def test_arguments_take_the_type_of_their_parameter(toy: PipelineFile, name: str, text: str, value: object) -> None:
    parsed = toy.parse_arguments({name: text})[name]

    assert parsed == value
    assert type(parsed) is type(value)


def test_all_wrong_arguments_are_named_at_once(toy: PipelineFile) -> None:
    with pytest.raises(InputError) as raised:
        toy.parse_arguments({"count": "many", "share": "true", "more": "[1]", "tons": "1"})

    text = str(raised.value)
    assert "--param count is 'many', must be a whole number" in text
    assert "--param share is 'true', must be a number" in text
    assert "--param more is '[1]', must be a JSON object" in text
    assert "--param tons: no such parameter; there are count, enough" in text


def test_loop_items_come_from_the_step_that_makes_them(toy: PipelineFile) -> None:
    loop = next(task for task in toy.all_tasks() if task.kind == "loop")
    items = [{"name": "Town_0"}, {"name": "Town_1"}]

    assert toy.loop_items(loop, {}, {}) == []
    assert toy.loop_items(loop, {}, {"make-items": {"Output": items}}) == items


@pytest.mark.parametrize(
    ("item", "label"),
    [
        ("Chicago", "Chicago"),
        (3, "3"),
        ({"size": 1, "location": "Chicago"}, "Chicago"),
        ({"a": "x", "name": "y"}, "y"),
        ({}, "item"),
    ],
)
def test_item_label(item: object, label: str) -> None:
    assert item_label(item) == label
