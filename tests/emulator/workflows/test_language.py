"""The Amazon States Language: what each kind of state does with its input."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from sagemaker_emulator.workflows import choice_rules, intrinsics, paths
from sagemaker_emulator.workflows.failures import StateFailure
from tests.emulator.workflows.conftest import ROLE_ARN, Machines

VALUE = {"a": {"b c": [1, 2, {"d": None}]}, "n": 5, "t": "text", "when": "2026-01-02T03:04:05Z", "truth": True}


@pytest.mark.parametrize(
    ("path", "selected"),
    [
        ("$", VALUE),
        ("$.a['b c'][-1].d", None),
        ("$.a['b c'][0:2]", [1, 2]),
        ("$.a['b c'][*].d", [None]),
        ("$['a'].*[1]", [2]),
        ("$$.Execution.Name", "one"),
    ],
)
def test_a_path_selects(path, selected):
    assert paths.select(path, VALUE, {"Execution": {"Name": "one"}}) == selected


@pytest.mark.parametrize("path", ["$.missing", "$.a.b", "a", "$.a..d", "$.a[?(@.d)]", "$.n[0]"])
def test_a_path_that_selects_nothing_or_is_not_understood_is_an_error(path):
    with pytest.raises(paths.PathError):
        paths.select(path, VALUE, {})


def test_a_result_is_put_where_a_reference_path_says():
    assert paths.put("$.a.x.y", {"a": {"b": 1}}, 2) == {"a": {"b": 1, "x": {"y": 2}}}
    assert paths.put("$.list[1]", {"list": [1, 2]}, 3) == {"list": [1, 3]}
    with pytest.raises(paths.PathError, match="Unable to apply"):
        paths.put("$.n.x", {"n": 5}, 1)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("States.Format('s3://{}/{}', $.t, $.n)", "s3://text/5"),
        (r"States.Format('\{\} it\'s {}', $.truth)", "{} it's true"),
        ("States.Array($.n, 'x', null, States.MathAdd($.n, -1))", [5, "x", None, 4]),
        ("States.ArrayPartition(States.ArrayRange(1, 5, 2), 2)", [[1, 3], [5]]),
        ("States.ArrayGetItem($.a['b c'], 1)", 2),
        ("States.StringToJson(States.JsonToString($.a))", VALUE["a"]),
        ("States.StringSplit('a.b+c', '.+')", ["a", "b", "c"]),
        (
            "States.JsonMerge(States.StringToJson('{\"x\":1}'), States.StringToJson('{\"y\":2}'), false)",
            {"x": 1, "y": 2},
        ),
        ("States.Base64Decode(States.Base64Encode('hi'))", "hi"),
        ("States.Hash('a', 'MD5')", "0cc175b9c0f1b6a831c399e269772661"),
        ("States.ArrayUnique(States.Array(1, 2, 1))", [1, 2]),
    ],
)
def test_an_intrinsic_function_computes(expression, value):
    assert intrinsics.evaluate(expression, VALUE, {}) == value


@pytest.mark.parametrize("expression", ["States.Nope()", "States.Format('{}')", "States.ArrayGetItem($.a['b c'], 9)"])
def test_an_intrinsic_function_that_cannot_compute_fails(expression):
    with pytest.raises(StateFailure, match="IntrinsicFailure"):
        intrinsics.evaluate(expression, VALUE, {})


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ({"Variable": "$.n", "NumericGreaterThan": 4}, True),
        ({"Variable": "$.truth", "NumericEquals": 1}, False),
        ({"Variable": "$.n", "NumericLessThanEqualsPath": "$.a['b c'][0]"}, False),
        ({"Variable": "$.t", "StringMatches": "t*t"}, True),
        ({"Variable": "$.t", "StringMatches": "t\\*t"}, False),
        ({"Variable": "$.when", "TimestampLessThan": "2026-01-02T04:04:06+01:00"}, True),
        ({"Variable": "$.a['b c'][2].d", "IsNull": True}, True),
        ({"Variable": "$.gone", "IsPresent": False}, True),
        (
            {"And": [{"Variable": "$.truth", "BooleanEquals": True}, {"Not": {"Variable": "$.n", "IsString": True}}]},
            True,
        ),
    ],
)
def test_a_choice_rule_compares(rule, holds):
    assert choice_rules.matches(rule, VALUE, {}) is holds


def test_states_pass_their_values_on_and_leave_a_history(machines: Machines):
    states = {
        "Shape": {
            "Type": "Pass",
            "Parameters": {"name.$": "$$.Execution.Input.name", "fixed": [1, {"n.$": "$.n"}]},
            "ResultPath": "$.shaped",
            "Next": "Each",
        },
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemSelector": {"index.$": "$$.Map.Item.Index", "item.$": "$$.Map.Item.Value", "n.$": "$.n"},
            "MaxConcurrency": 1,
            "ItemProcessor": {
                "StartAt": "Add",
                "States": {
                    "Add": {"Type": "Pass", "Parameters": {"sum.$": "States.MathAdd($.item, $.n)"}, "End": True},
                },
            },
            "ResultPath": "$.sums",
            "Next": "Both",
        },
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "Left", "States": {"Left": {"Type": "Pass", "Result": "left", "End": True}}},
                {"StartAt": "Right", "States": {"Right": {"Type": "Wait", "Seconds": 0, "End": True}}},
            ],
            "ResultSelector": {"left.$": "$[0]", "right.$": "$[1].n"},
            "ResultPath": "$.both",
            "Next": "Which",
        },
        "Which": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.sums[1].sum", "NumericEquals": 12, "Next": "Done"}],
            "Default": "Wrong",
        },
        "Wrong": {"Type": "Fail", "Error": "Wrong", "Cause": "no 12"},
        "Done": {
            "Type": "Succeed",
        },
    }
    value = {"name": "me", "n": 2, "items": [5, 10]}
    arn = machines.start(states, value)
    assert machines.ended(arn)["output"] == {
        **value,
        "shaped": {"name": "me", "fixed": [1, {"n": 2}]},
        "sums": [{"sum": 7}, {"sum": 12}],
        "both": {"left": "left", "right": 2},
    }
    events = machines.events(arn)
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["ExecutionStarted", "PassStateEntered", "PassStateExited"]
    assert kinds[-1] == "ExecutionSucceeded"
    assert kinds.count("MapIterationSucceeded") == 2
    second = next(event for event in events if event.get("mapIterationStartedEventDetails", {}).get("index") == 1)
    assert events[second["previousEventId"] - 1]["type"] == "MapStateStarted"
    assert json.loads(events[1]["stateEnteredEventDetails"]["input"]) == value


def test_a_failure_is_retried_then_caught_and_the_uncaught_one_ends_the_execution(machines: Machines):
    def broken(**fields: object) -> dict[str, object]:
        branch = {"StartAt": "No", "States": {"No": {"Type": "Fail", "Error": "Mine", "CausePath": "$.why"}}}
        return {"Type": "Parallel", "Branches": [branch], **fields}

    retry = [{"ErrorEquals": ["Mine"], "IntervalSeconds": 0, "MaxAttempts": 2}]
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Caught"}]
    states = {"Try": broken(Retry=retry, Catch=catch, End=True), "Caught": {"Type": "Succeed"}}
    arn = machines.start(states, {"why": "because"})
    assert machines.ended(arn)["output"] == {"why": "because", "failure": {"Error": "Mine", "Cause": "because"}}
    assert [event["type"] for event in machines.events(arn)].count("FailStateEntered") == 3

    arn = machines.start({"Try": broken(End=True)}, {"why": "because"}, name=f"{machines.name}-2")
    ended = machines.ended(arn)
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "Mine", "because")
    assert machines.events(arn)[-1]["executionFailedEventDetails"] == {"error": "Mine", "cause": "because"}


def test_a_name_and_input_again_answer_the_running_execution_and_stop_ends_it(machines: Machines):
    arn = machines.create({"Wait": {"Type": "Wait", "Seconds": 600, "End": True}})
    request = {"stateMachineArn": arn, "name": "once", "input": "{}"}
    first = machines.states.start_execution(**request)
    assert machines.states.start_execution(**request)["executionArn"] == first["executionArn"]
    with pytest.raises(machines.states.exceptions.ExecutionAlreadyExists):
        machines.states.start_execution(**{**request, "input": '{"other":1}'})
    machines.states.stop_execution(executionArn=first["executionArn"], error="Enough", cause="of it")
    ended = machines.ended(first["executionArn"])
    assert (ended["status"], ended["error"], ended["cause"]) == ("ABORTED", "Enough", "of it")
    assert machines.events(first["executionArn"])[-1]["type"] == "ExecutionAborted"
    with pytest.raises(machines.states.exceptions.ExecutionAlreadyExists):
        machines.states.start_execution(**request)
    listed = machines.states.list_executions(stateMachineArn=arn, statusFilter="ABORTED")["executions"]
    assert [item["name"] for item in listed] == ["once"]


def test_a_machine_has_a_time_limit(machines: Machines):
    ended = machines.run({"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}, TimeoutSeconds=1)
    assert ended["status"] == "TIMED_OUT"


def test_everything_wrong_with_a_definition_is_said_at_once(machines: Machines):
    states = {
        "A": {"Type": "Task", "Resource": "arn:aws:states:::sagemaker:createCluster", "Next": "Gone"},
        "B": {"Type": "Pass", "Assign": {"x": 1}, "End": True},
        "C": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
            "Parameters": {"TrainingJob": 1},
            "End": True,
        },
        "D": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "End": True},
        "E": {"Type": "Pass", "InputPath": "$.a[?(@.b)]", "Parameters": {"x.$": "States.Nope()"}, "End": True},
    }
    with pytest.raises(ClientError) as caught:
        machines.create(states)
    assert caught.value.response["Error"]["Code"] == "InvalidDefinition"
    message = str(caught.value)
    for part in (
        "no optimized integration 'sagemaker:createCluster'",
        "'Gone' is not a state at /States/A",
        "does not implement workflow variables at /States/B/Assign",
        "The field 'TrainingJob' is not supported by Step Functions for CreateTrainingJob at /States/C/Resource",
        "neither activities nor callbacks",
        "/States/E/InputPath",
        "'States.Nope()' is not an intrinsic function",
    ):
        assert part in message
    with pytest.raises(ClientError, match="STANDARD only, not EXPRESS"):
        machines.states.create_state_machine(name="x", definition="{}", roleArn=ROLE_ARN, type="EXPRESS")
