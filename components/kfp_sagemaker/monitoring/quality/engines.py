"""Where an analysis runs: in the step itself, in our analyzer's image, or in AWS's own container.

The last two are SageMaker processing jobs with the same contract.

Contract: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-byoc-contract-inputs.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kfp_sagemaker.aws import engine
from kfp_sagemaker.aws.errors import ConfigurationError
from kfp_sagemaker.aws.image_uris import image_uri as look_up_image
from kfp_sagemaker.aws.job_arguments import check_job_arguments, gather
from kfp_sagemaker.aws.kinds import PROCESSING_JOB
from kfp_sagemaker.aws.session import Session
from kfp_sagemaker.aws.validation import Problems
from kfp_sagemaker.monitoring.schedules.request import MANAGED_ANALYZER
from kfp_sagemaker.processing.request import ProcessingJob, build_request

if TYPE_CHECKING:
    from kfp_sagemaker.monitoring.analyzer.options import Options, Result

STEP, IMAGE, MANAGED = "step", "image", "managed"
ENGINES = (STEP, IMAGE, MANAGED)
# Where the job finds and leaves things; the SageMaker SDK's choices.
_BASE = "/opt/ml/processing"
_DATASET_PATH = f"{_BASE}/input/dataset"
_OUTPUT_PATH = f"{_BASE}/output"
# Stands for what is not given, so that everything else is checked all the same.
_NO_ROLE = "arn:aws:iam::000000000000:role/none"
_RESERVED = frozenset({"dataset_source", "dataset_format", "output_path"})


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)  # its environment may hold secrets, which no log shows
class EngineOptions:
    """The arguments that ``suggest_baseline`` and ``monitor_data_quality`` share; see the components for each."""

    engine: str = STEP
    role_arn: str = ""
    image_uri: str = ""
    record_preprocessor_s3_uri: str = ""
    post_analytics_processor_s3_uri: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)
    instance_type: str = "ml.m5.xlarge"
    instance_count: int = 1
    volume_size_gb: int = 30
    max_runtime_seconds: int = 3600
    subnets: Sequence[str] = ()
    security_group_ids: Sequence[str] = ()
    output_kms_key_id: str = ""
    volume_kms_key_id: str = ""
    enable_network_isolation: bool = False
    job_name: str = ""
    job_name_prefix: str = ""
    timeout_seconds: float = 0
    tags: Mapping[str, Any] = field(default_factory=dict)

    def check(self, problems: Problems) -> None:
        """Record what is wrong, as far as AWS's model does not say it."""
        problems.one_of("engine", self.engine, ENGINES)
        problems.required("engine", self.engine)
        for argument in ("record_preprocessor_s3_uri", "post_analytics_processor_s3_uri"):
            problems.s3_uri(argument, getattr(self, argument))
        if self.engine == STEP:
            for argument in ("image_uri", "environment", "job_name"):
                if getattr(self, argument):
                    problems.add(argument, getattr(self, argument), "left out, because engine 'step' starts no job")
        else:
            problems.required("role_arn", self.role_arn)
        if self.engine == IMAGE and not self.image_uri:
            problems.add("image_uri", "", "given for engine 'image': our analyzer's image in a registry of yours (ECR)")
        if self.engine == MANAGED and self.image_uri:
            problems.add("image_uri", self.image_uri, "left out for engine 'managed', whose image is AWS's own")
        problems.role_arn("role_arn", self.role_arn)
        if not isinstance(self.environment, Mapping):
            problems.add("environment", self.environment, "an object of names and values")
        for name in sorted(_RESERVED & set(self.environment if isinstance(self.environment, Mapping) else ())):
            problems.add(f"environment.{name}", self.environment[name], "left out; this component sets it")
        check_job_arguments(
            problems,
            job_name=self.job_name,
            job_name_prefix=self.job_name_prefix,
            timeout_seconds=self.timeout_seconds,
            tags=self.tags,
        )


def analyse_in_step(options: Options) -> Result:
    """Run the analyzer in this process.

    Args:
        options: What to analyse.

    Raises:
        ConfigurationError: The step's image lacks what the analyzer needs.
        DataError: The data cannot be read.
    """
    try:
        from kfp_sagemaker.monitoring.analyzer import analysis
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("kfp_sagemaker"):
            raise
        raise ConfigurationError(
            f"engine 'step' analyses in the step, which needs the package {error.name}: use an image with "
            "kfp-sagemaker[monitoring], as the component's own image is, or engine 'image' or 'managed'"
        ) from None
    return analysis.run(options)


@dataclass(frozen=True)
class JobInput:
    """Something a job reads besides the dataset: an S3 object, and the variable that names its file."""

    name: str
    s3_uri: str
    variable: str


def build_job(
    options: EngineOptions,
    *,
    session: Session,
    dataset_s3_uri: str,
    is_manifest: bool,
    dataset_format: Mapping[str, Any],
    inputs: Sequence[JobInput],
    output_s3_uri: str,
    environment: Mapping[str, str],
    problems: Problems,
) -> dict[str, Any]:
    """The processing job's request; what is wrong with it is recorded, also where engine step will not need it.

    Args:
        options: The engine's arguments.
        session: The step's session.
        dataset_s3_uri: The data, or the manifest that lists it.
        is_manifest: Whether it is a manifest.
        dataset_format: The data's format, in the container's spelling.
        inputs: What else it reads; those without URI are left out.
        output_s3_uri: Where the reports go.
        environment: Further variables; the user's own come last.
        problems: Takes everything that is wrong.
    """
    image: str | None = options.image_uri
    if options.engine == MANAGED:
        image = gather(problems, lambda: look_up_image(MANAGED_ANALYZER, session.region), argument="engine")
    given = [
        *inputs,
        JobInput("preprocessor", options.record_preprocessor_s3_uri, "record_preprocessor_script"),
        JobInput("postprocessor", options.post_analytics_processor_s3_uri, "post_analytics_processor_script"),
    ]
    given = [item for item in given if item.s3_uri]
    sharded = options.instance_count > 1 and options.engine == IMAGE
    variables = {
        "dataset_source": _DATASET_PATH,
        "dataset_format": json.dumps(dataset_format),
        "output_path": _OUTPUT_PATH,
        "publish_cloudwatch_metrics": "Disabled",
        **environment,
        **{item.variable: f"{_BASE}/{item.name}/{item.s3_uri.rpartition('/')[2]}" for item in given},
    }
    job = ProcessingJob(
        role_arn=options.role_arn if options.engine != STEP and not problems.found else _NO_ROLE,
        image_uri=image or "none",
        inputs=[
            {
                "name": "dataset",
                "s3_uri": dataset_s3_uri,
                "local_path": _DATASET_PATH,
                "s3_data_type": "ManifestFile" if is_manifest else "S3Prefix",
                "s3_data_distribution_type": "ShardedByS3Key" if sharded else "FullyReplicated",
            },
            *({"name": item.name, "s3_uri": item.s3_uri, "local_path": f"{_BASE}/{item.name}"} for item in given),
        ],
        outputs=[{"name": "reports", "s3_uri": output_s3_uri, "local_path": _OUTPUT_PATH}],
        environment={**variables, **options.environment} if isinstance(options.environment, Mapping) else variables,
        **{name: getattr(options, name) for name in _JOB_MEMBERS},
    )
    service_model = session.client("sagemaker").meta.service_model
    built = gather(problems, lambda: build_request(job, region=session.region, service_model=service_model))
    # The URIs are arguments of the component, and were named as such.
    problems.found = [problem for problem in problems.found if not problem.startswith(("inputs[", "outputs["))]
    return built or {}


_JOB_MEMBERS = (
    "instance_type",
    "instance_count",
    "volume_size_gb",
    "max_runtime_seconds",
    "subnets",
    "security_group_ids",
    "output_kms_key_id",
    "volume_kms_key_id",
    "enable_network_isolation",
)


def run_job(session: Session, options: EngineOptions, request: Mapping[str, Any], name_prefix: str) -> engine.Outcome:
    """Run the processing job to its end.

    Raises:
        JobFailedError: It failed; with the reason and the end of its log.
    """
    return engine.run(
        session,
        PROCESSING_JOB,
        request,
        name=options.job_name,
        name_prefix=options.job_name_prefix or name_prefix,
        tags=options.tags,
        timeout_seconds=options.timeout_seconds or options.max_runtime_seconds + 3600,
    )


def manifest(uris: Sequence[str], common: str) -> str:
    """A manifest of S3 objects: a prefix, and the objects below it.

    Args:
        uris: The objects.
        common: A prefix of all of them, with a slash at its end.
    """
    return json.dumps([{"prefix": common}, *(uri.removeprefix(common) for uri in uris)])
