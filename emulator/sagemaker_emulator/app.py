"""The application: what every operation works on, made once when the emulator starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sagemaker_emulator.aws_access import InternalAws
from sagemaker_emulator.clock import Clock
from sagemaker_emulator.settings import Settings
from sagemaker_emulator.store import Store

if TYPE_CHECKING:
    from sagemaker_emulator.hosting.hosting import Hosting
    from sagemaker_emulator.monitoring.schedules import MonitoringSchedules
    from sagemaker_emulator.runtime.images import ImageRegistry
    from sagemaker_emulator.runtime.jobs import Jobs
    from sagemaker_emulator.workflows.executions import Executions


@dataclass
class App:
    """The parts an operation reaches through its context.

    Attributes:
        settings: What the emulator was started with.
        store: The documents of all resources.
        clock: The time.
        aws: boto3 clients into this same emulator.
        images: Which program an image URI stands for.
        hosting: The running endpoints.
        jobs: The running training, processing and transform jobs.
        monitoring: The running monitoring schedules.
        executions: The running executions of state machines.
    """

    settings: Settings
    store: Store
    clock: Clock
    aws: InternalAws
    images: ImageRegistry = field(init=False)
    hosting: Hosting = field(init=False)
    jobs: Jobs = field(init=False)
    monitoring: MonitoringSchedules = field(init=False)
    executions: Executions = field(init=False)


def create_app(settings: Settings, clock: Clock | None = None) -> App:
    """Open the state of an emulator and make its parts; starts nothing.

    Args:
        settings: What the emulator was started with.
        clock: Another source of time, for tests.
    """
    # Late imports: these parts take an App.
    from sagemaker_emulator.hosting.hosting import Hosting
    from sagemaker_emulator.monitoring.schedules import MonitoringSchedules
    from sagemaker_emulator.runtime.images import REGISTRY_FILE, ImageRegistry
    from sagemaker_emulator.runtime.jobs import Jobs
    from sagemaker_emulator.workflows.executions import Executions

    settings.state_dir.mkdir(parents=True, exist_ok=True)
    app = App(settings, Store(settings.state_dir / "sagemaker.sqlite"), clock or Clock(), InternalAws(settings))
    app.images = ImageRegistry(settings.state_dir / REGISTRY_FILE)
    app.hosting = Hosting(app)
    app.jobs = Jobs(app)
    app.monitoring = MonitoringSchedules(app)
    app.executions = Executions(app)
    return app
