"""A pipeline with everything kfp.local does differently: a loop, a collection, a condition, an exit handler."""

# mypy: ignore-errors
# ruff: noqa: B006
from typing import NamedTuple

from kfp import dsl

from kfp_sagemaker._component import sagemaker_component


@sagemaker_component
def make_items(count: int) -> list:
    return [{"name": f"Town_{number}", "amount": number} for number in range(int(count))]


@sagemaker_component
def work(amount: int, failing: int, marker: str) -> int:
    import pathlib
    import signal
    import time

    print(f"working on {amount}", flush=True)
    if marker:  # wait to be cancelled, and say that it came
        pathlib.Path(f"{marker}.{amount}").touch()
        signal.signal(signal.SIGTERM, lambda *_: exit("stopped my job"))
        while True:
            time.sleep(0.05)
    if amount == failing:
        raise ValueError(f"{amount} is bad:\n  - take another one")
    return amount * 2


@sagemaker_component
def total(amounts: list, page: dsl.Output[dsl.HTML]) -> NamedTuple("Outputs", table=dict, sum=int):
    from kfp_sagemaker.html_report import HtmlReport

    HtmlReport("Total").add_text("How", "By adding.").write(page.path)
    return {"columns": ["towns", "sum"], "rows": [[len(amounts), sum(amounts)]]}, int(sum(amounts))


@sagemaker_component
def celebrate(amount: int):
    print("hurray", amount)


@sagemaker_component(cache=False)
def say_goodbye(status: dsl.PipelineTaskFinalStatus):
    print("goodbye after", status.state)


@dsl.pipeline(name="toy", description="Doubles numbers")
def toy(
    count: int = 3,
    enough: int = 2,
    failing: int = -1,
    marker: str = "",
    share: float = 0.5,
    towns: list = [],
    more: dict = {},
    keep_endpoint: bool = False,
):
    with dsl.ExitHandler(say_goodbye().set_display_name("Say goodbye"), name="All of it"):
        items = make_items(count=count)
        with dsl.ParallelFor(items.output, name="Each town") as item:
            worked = work(amount=item.amount, failing=failing, marker=marker).set_display_name("Work")
        done = total(amounts=dsl.Collected(worked.output)).set_display_name("Add up")
        with dsl.If(count > enough, name="Enough"):
            celebrate(amount=done.outputs["sum"]).set_display_name("Celebrate")
