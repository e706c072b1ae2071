"""What each component needs to be allowed, described once; every IAM document of the project is made of this.

Steps may create only resources that carry the suite's tags, and may change, stop, delete and invoke only what carries
them. Reading descriptions is not bound to tags: SageMaker answers a description of what does not exist with "not
found" only to those who may describe it, and steps look before they create.

Actions, resources and condition keys: the Service Authorization Reference of each service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kfp_sagemaker.aws.tags import REQUEST

EVERY_COMPONENT = "every_component"
SAGEMAKER_SERVICE = "sagemaker.amazonaws.com"
GLUE_SERVICE = "glue.amazonaws.com"

_JOBS = ("train", "tune", "process", "batch_transform")
# These start processing jobs too, with engine image or managed.
_ANALYSES = ("suggest_baseline", "monitor_data_quality")
_TRANSFORMING = ("batch_transform", "evaluate_model")
# What runs as the execution role; an endpoint with data capture writes objects.
_HOSTED = (*_JOBS, *_ANALYSES, "evaluate_model", "create_monitoring_schedule", "deploy_endpoint")
_SCHEDULING = (
    "create_monitoring_schedule",
    "delete_monitoring_schedule",
    "start_monitoring_schedule",
    "stop_monitoring_schedule",
    "wait_for_monitoring_execution",
)
_DELETING = ("delete_resources",)  # and delete_resources_on_exit, which does the same
_CREATES_TAGGED = {"Null": {f"aws:RequestTag/{REQUEST}": "false"}}
_IS_TAGGED = {"Null": {f"aws:ResourceTag/{REQUEST}": "false"}}
_BUCKET = "arn:{partition}:s3:::{bucket}"
_OBJECTS = "arn:{partition}:s3:::{bucket}/{key_prefix}*"
_SAGEMAKER = "arn:{partition}:sagemaker:{region}:{account_id}:"
_LOG_GROUPS = "arn:{partition}:logs:{region}:{account_id}:log-group:/aws/sagemaker/"
# A listing has to be below the prefix. S3 asks for this right, too, without any prefix, before it says that an object
# does not exist (404, and not 403).
_BELOW_PREFIX = {"StringLikeIfExists": {"s3:prefix": ["{key_prefix}*"]}}


@dataclass(frozen=True)
class Grant:
    """Something to be allowed.

    Attributes:
        components: The components that need it; ``EVERY_COMPONENT`` for all.
        purpose: What for, in CamelCase: with the components the statement's ``Sid``.
        actions: IAM actions.
        resources: ARNs, with the places of :class:`kfp_sagemaker.access.documents.Place` in braces.
        conditions: IAM conditions.
    """

    components: tuple[str, ...]
    purpose: str
    actions: tuple[str, ...]
    resources: tuple[str, ...] = ("*",)
    conditions: Mapping[str, Mapping[str, str | list[str]]] = field(default_factory=dict)

    @property
    def sid(self) -> str:
        """Components and purpose in letters, which is all a ``Sid`` may hold."""
        words = "_".join(self.components).split("_")
        return "".join(word.capitalize() for word in words) + self.purpose

    def is_needed_by(self, components: Iterable[str]) -> bool:
        """Whether one of the components needs it."""
        names = {component.removesuffix("_on_exit") for component in components}
        return EVERY_COMPONENT in self.components or not names.isdisjoint(self.components)


def _sagemaker(*resource_types: str) -> tuple[str, ...]:
    return tuple(f"{_SAGEMAKER}{kind}/*" for kind in resource_types)


def _job(components: str | tuple[str, ...], kind: str, resource_type: str) -> tuple[Grant, ...]:
    """The life of a job: created with tags, watched, stopped by its own step or by the run's exit handler."""
    resources = _sagemaker(resource_type)
    starting = (components,) if isinstance(components, str) else components
    return (
        Grant(starting, "Create", (f"sagemaker:Create{kind}",), resources, _CREATES_TAGGED),
        Grant(starting, "Describe", (f"sagemaker:Describe{kind}",), resources),
        Grant((*starting, *_DELETING), "Stop", (f"sagemaker:Stop{kind}",), resources, _IS_TAGGED),
    )


_ENDPOINTS = _sagemaker("endpoint")
_ENDPOINTS_AND_CONFIGS = _sagemaker("endpoint", "endpoint-config")
_SCHEDULES = _sagemaker("monitoring-schedule")
_JOB_DEFINITIONS = _sagemaker("data-quality-job-definition")
# What `credentials create` names after the namespaces.
_OWN_PRINCIPALS = tuple(f"arn:{{partition}}:iam::{{account_id}}:{kind}/kfp-sagemaker-*" for kind in ("role", "user"))
# Roles for the callers of single models are below a path of their own.
MODEL_ACCESS_PATH = "/kfp-sagemaker/model-access/"
_MODEL_ACCESS_ROLES = (f"arn:{{partition}}:iam::{{account_id}}:role{MODEL_ACCESS_PATH}*",)
MODEL_ACCESS_BOUNDARY_NAME = "kfp-sagemaker-model-access-boundary"
MODEL_ACCESS_BOUNDARY_ARN = f"arn:{{partition}}:iam::{{account_id}}:policy/{MODEL_ACCESS_BOUNDARY_NAME}"
_SCALABLE_TARGETS = ("arn:{partition}:application-autoscaling:{region}:{account_id}:scalable-target/*",)

_GLUE_JOBS = ("arn:{partition}:glue:{region}:{account_id}:job/*",)
# Glue's roles have a name of their own: the execution role trusts SageMaker alone.
_GLUE_ROLES = ("arn:{partition}:iam::{account_id}:role/kfp-sagemaker-glue*",)
_STATES = "arn:{partition}:states:{region}:{account_id}:"

POD_GRANTS: Mapping[str, tuple[Grant, ...]] = {
    "data": (
        Grant((EVERY_COMPONENT,), "ListBucket", ("s3:ListBucket",), (_BUCKET,), _BELOW_PREFIX),
        Grant((EVERY_COMPONENT,), "ReadAndWriteObjects", ("s3:GetObject", "s3:PutObject"), (_OBJECTS,)),
        Grant(("publish_models", *_DELETING), "DeleteObjects", ("s3:DeleteObject",), (_OBJECTS,)),
        Grant(("split_dataset", "publish_models"), "AbortUploads", ("s3:AbortMultipartUpload",), (_OBJECTS,)),
        Grant(
            (EVERY_COMPONENT,),
            "TagWhatItCreates",
            ("sagemaker:AddTags",),
            (f"{_SAGEMAKER}*",),
            # Only as a part of creating: nobody can make a stranger's resource the suite's own by tagging it.
            {"StringLike": {"sagemaker:TaggingAction": "Create*"}},
        ),
        # Retried steps know their own resources by the tags, and so does whatever cleans up.
        Grant((EVERY_COMPONENT,), "ReadTags", ("sagemaker:ListTags",), (f"{_SAGEMAKER}*",)),
    ),
    "jobs": (
        *_job("train", "TrainingJob", "training-job"),
        *_job("tune", "HyperParameterTuningJob", "hyper-parameter-tuning-job"),
        Grant(
            ("tune", "export_training_metrics"),
            "ListTrials",
            ("sagemaker:ListTrainingJobsForHyperParameterTuningJob",),
            _sagemaker("hyper-parameter-tuning-job"),
        ),
        Grant(
            ("tune", "export_training_metrics"),
            "DescribeTrials",
            ("sagemaker:DescribeTrainingJob",),
            _sagemaker("training-job"),
        ),
        Grant(("export_training_metrics",), "FindTheNewestJob", ("sagemaker:ListTrainingJobs",)),
        Grant(
            ("train", "export_training_metrics"),
            "ReadMetrics",
            ("cloudwatch:GetMetricData", "cloudwatch:ListMetrics"),
        ),
        *_job("process", "ProcessingJob", "processing-job"),
        *_job(_TRANSFORMING, "TransformJob", "transform-job"),
        Grant(
            (*_JOBS, "evaluate_model"),
            "ReadLogs",
            ("logs:DescribeLogStreams", "logs:GetLogEvents"),
            (f"{_LOG_GROUPS}*",),
        ),
        Grant(
            (*_JOBS, "create_model"),
            "PassRole",
            ("iam:PassRole",),
            ("{execution_role_arn}",),
            {"StringEquals": {"iam:PassedToService": SAGEMAKER_SERVICE}},
        ),
        Grant(
            _DELETING,
            "ListJobs",
            (
                "sagemaker:ListTrainingJobs",
                "sagemaker:ListHyperParameterTuningJobs",
                "sagemaker:ListProcessingJobs",
                "sagemaker:ListTransformJobs",
            ),
        ),
    ),
    "endpoints": (
        Grant(("create_model",), "Create", ("sagemaker:CreateModel",), _sagemaker("model"), _CREATES_TAGGED),
        Grant(("create_model", *_DELETING), "Describe", ("sagemaker:DescribeModel",), _sagemaker("model")),
        Grant(_DELETING, "DeleteModels", ("sagemaker:DeleteModel",), _sagemaker("model"), _IS_TAGGED),
        Grant(
            ("deploy_endpoint",),
            "Create",
            ("sagemaker:CreateEndpointConfig", "sagemaker:CreateEndpoint"),
            _ENDPOINTS_AND_CONFIGS,
            _CREATES_TAGGED,
        ),
        Grant(
            ("deploy_endpoint", "invoke_endpoint", "endpoint_metrics", *_DELETING),
            "Describe",
            ("sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig"),
            _ENDPOINTS_AND_CONFIGS,
        ),
        Grant(("deploy_endpoint",), "Update", ("sagemaker:UpdateEndpoint",), _ENDPOINTS_AND_CONFIGS, _IS_TAGGED),
        Grant(
            ("deploy_endpoint", *_DELETING),
            "DeleteEndpoints",
            ("sagemaker:DeleteEndpoint", "sagemaker:DeleteEndpointConfig"),
            _ENDPOINTS_AND_CONFIGS,
            _IS_TAGGED,
        ),
        Grant(
            _DELETING,
            "ListEndpointsAndModels",
            ("sagemaker:ListEndpoints", "sagemaker:ListEndpointConfigs", "sagemaker:ListModels"),
        ),
        Grant(("invoke_endpoint", "evaluate_model"), "Invoke", ("sagemaker:InvokeEndpoint",), _ENDPOINTS, _IS_TAGGED),
        Grant(("endpoint_metrics",), "ReadMetrics", ("cloudwatch:GetMetricData", "cloudwatch:ListMetrics")),
        Grant(
            ("deploy_endpoint", *_DELETING),
            "Scale",
            (
                "application-autoscaling:DeregisterScalableTarget",
                "application-autoscaling:PutScalingPolicy",
                "application-autoscaling:RegisterScalableTarget",
            ),
            _SCALABLE_TARGETS,
        ),
        # DescribeScalableTargets knows no resources.
        Grant(("deploy_endpoint", *_DELETING), "DescribeScaling", ("application-autoscaling:DescribeScalableTargets",)),
    ),
    "monitoring": (
        Grant(("verify_bucket_access",), "AskAboutRole", ("iam:SimulatePrincipalPolicy",), ("{execution_role_arn}",)),
        Grant(("verify_bucket_access",), "ReadBucketPolicy", ("s3:GetBucketPolicy",), (_BUCKET,)),
        Grant(
            ("monitor_data_quality", "list_captured_data"),
            "FindCaptures",
            ("sagemaker:DescribeEndpoint",),
            _ENDPOINTS,
        ),
        Grant(("send_traffic",), "Invoke", ("sagemaker:InvokeEndpoint",), _ENDPOINTS, _IS_TAGGED),
        # publish_cloudwatch_metrics with engine step. PutMetricData knows no resources, but the namespace.
        Grant(
            ("monitor_data_quality",),
            "WriteMetrics",
            ("cloudwatch:PutMetricData",),
            conditions={"StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/Endpoints/data-metric"}},
        ),
        Grant(
            _ANALYSES,
            "Create",
            ("sagemaker:CreateProcessingJob",),
            _sagemaker("processing-job"),
            _CREATES_TAGGED,
        ),
        Grant(_ANALYSES, "Stop", ("sagemaker:StopProcessingJob",), _sagemaker("processing-job"), _IS_TAGGED),
        Grant(
            (*_ANALYSES, "wait_for_monitoring_execution"),
            "Describe",
            ("sagemaker:DescribeProcessingJob",),
            _sagemaker("processing-job"),
        ),
        Grant(
            (*_ANALYSES, "wait_for_monitoring_execution"),
            "ReadLogs",
            ("logs:DescribeLogStreams", "logs:GetLogEvents"),
            (f"{_LOG_GROUPS}ProcessingJobs*",),
        ),
        Grant(
            (*_ANALYSES, "create_monitoring_schedule"),
            "PassRole",
            ("iam:PassRole",),
            ("{execution_role_arn}",),
            {"StringEquals": {"iam:PassedToService": SAGEMAKER_SERVICE}},
        ),
        Grant(
            ("create_monitoring_schedule",),
            "Create",
            ("sagemaker:CreateDataQualityJobDefinition", "sagemaker:CreateMonitoringSchedule"),
            _SCHEDULES + _JOB_DEFINITIONS,
            _CREATES_TAGGED,
        ),
        Grant(
            ("create_monitoring_schedule",),
            "Describe",
            ("sagemaker:DescribeDataQualityJobDefinition",),
            _JOB_DEFINITIONS,
        ),
        Grant((*_SCHEDULING, *_DELETING), "DescribeSchedules", ("sagemaker:DescribeMonitoringSchedule",), _SCHEDULES),
        Grant(
            ("start_monitoring_schedule", "stop_monitoring_schedule"),
            "StartAndStop",
            ("sagemaker:StartMonitoringSchedule", "sagemaker:StopMonitoringSchedule"),
            _SCHEDULES,
            _IS_TAGGED,
        ),
        Grant(
            ("create_monitoring_schedule", "delete_monitoring_schedule", *_DELETING),
            "DeleteSchedules",
            ("sagemaker:DeleteDataQualityJobDefinition", "sagemaker:DeleteMonitoringSchedule"),
            _SCHEDULES + _JOB_DEFINITIONS,
            _IS_TAGGED,
        ),
        # SageMaker's own jobs for a schedule do not carry the suite's tags, but have names of their own.
        Grant(
            ("delete_monitoring_schedule", *_DELETING),
            "StopExecutions",
            ("sagemaker:StopProcessingJob",),
            (f"{_SAGEMAKER}processing-job/model-monitoring-*",),
        ),
        Grant(
            ("wait_for_monitoring_execution", "delete_monitoring_schedule", *_DELETING),
            "ListExecutions",
            ("sagemaker:ListMonitoringExecutions",),
        ),
        Grant(
            _DELETING,
            "ListSchedules",
            ("sagemaker:ListDataQualityJobDefinitions", "sagemaker:ListMonitoringSchedules"),
        ),
    ),
    "workflows": (
        # Jobs and state machines are the team's own: what runs of them may do, their own roles say.
        Grant(
            ("run_glue_job",),
            "RunJobs",
            ("glue:BatchStopJobRun", "glue:GetJob", "glue:GetJobRun", "glue:GetJobRuns", "glue:StartJobRun"),
            _GLUE_JOBS,
        ),
        Grant(("run_glue_job",), "CreateJobs", ("glue:CreateJob", "glue:TagResource"), _GLUE_JOBS, _CREATES_TAGGED),
        Grant(("run_glue_job",), "ReadTags", ("glue:GetTags",), _GLUE_JOBS),
        Grant(("run_glue_job",), "UpdateJobs", ("glue:UpdateJob",), _GLUE_JOBS, _IS_TAGGED),
        Grant(
            ("run_glue_job",),
            "PassRole",
            ("iam:PassRole",),
            _GLUE_ROLES,
            {"StringEquals": {"iam:PassedToService": GLUE_SERVICE}},
        ),
        Grant(
            ("run_glue_job",),
            "ReadLogs",
            ("logs:DescribeLogStreams", "logs:GetLogEvents"),
            ("arn:{partition}:logs:{region}:{account_id}:log-group:/aws-glue/*",),
        ),
        Grant(
            ("run_state_machine",),
            "Start",
            ("states:DescribeStateMachine", "states:StartExecution"),
            (f"{_STATES}stateMachine:*",),
        ),
        Grant(
            ("run_state_machine",),
            "Follow",
            ("states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution"),
            (f"{_STATES}execution:*",),
        ),
    ),
    "access": (
        # Of the roles and users that `credentials create` makes; ask an administrator about others.
        Grant(
            ("check_permissions",),
            "AskIam",
            ("iam:SimulatePrincipalPolicy",),
            ("{execution_role_arn}", *_OWN_PRINCIPALS),
        ),
        # A role that does not exist has no path to be known by.
        Grant(
            ("check_permissions", "grant_model_access", "revoke_model_access"),
            "LookUpRoles",
            ("iam:GetRole",),
            ("arn:{partition}:iam::{account_id}:role/*",),
        ),
        # The boundary keeps whoever may make roles from making one that may do more than call endpoints.
        Grant(
            ("grant_model_access",),
            "MakeLimitedRoles",
            ("iam:CreateRole", "iam:PutRolePolicy"),
            _MODEL_ACCESS_ROLES,
            {"StringEquals": {"iam:PermissionsBoundary": MODEL_ACCESS_BOUNDARY_ARN}},
        ),
        Grant(
            ("grant_model_access",),
            "KeepRoles",
            (
                "iam:GetRolePolicy",
                "iam:SimulatePrincipalPolicy",
                "iam:TagRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:UpdateRole",
            ),
            _MODEL_ACCESS_ROLES,
        ),
        Grant(("grant_model_access",), "FindBoundary", ("iam:GetPolicy",), (MODEL_ACCESS_BOUNDARY_ARN,)),
        Grant(
            ("grant_model_access", "revoke_model_access"),
            "ListPolicies",
            ("iam:ListRolePolicies",),
            _MODEL_ACCESS_ROLES,
        ),
        Grant(
            ("revoke_model_access",),
            "DeleteRoles",
            ("iam:DeleteRole", "iam:DeleteRolePolicy", "iam:ListAttachedRolePolicies"),
            _MODEL_ACCESS_ROLES,
        ),
        Grant(("verify_model_access",), "AssumeRoles", ("sts:AssumeRole",), _MODEL_ACCESS_ROLES),
    ),
}
"""What steps need to be allowed; a topic becomes a managed policy, which may not be longer than 6144 characters."""

EXECUTION_GRANTS: tuple[Grant, ...] = (
    Grant(_HOSTED, "ListBucket", ("s3:ListBucket",), (_BUCKET,), _BELOW_PREFIX),
    Grant(_HOSTED, "ReadObjects", ("s3:GetObject",), (_OBJECTS,)),
    Grant(_HOSTED, "WriteObjects", ("s3:PutObject",), (_OBJECTS,)),
    Grant(
        _HOSTED,
        "WriteLogs",
        ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
        (f"{_LOG_GROUPS}*",),
    ),
    # PutMetricData knows no resources.
    Grant(("train", "tune", "create_monitoring_schedule"), "WriteMetrics", ("cloudwatch:PutMetricData",)),
    # GetAuthorizationToken knows no resources.
    Grant(_HOSTED, "LogInToRegistry", ("ecr:GetAuthorizationToken",)),
    Grant(
        _HOSTED,
        "PullImages",
        ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
        # The built-in images lie in another account of AWS's in each region.
        ("arn:{partition}:ecr:*:*:repository/*",),
    ),
)
"""What SageMaker's jobs and endpoints need to be allowed, as the execution role."""

MODEL_ACCESS_BOUNDARY: tuple[Grant, ...] = (
    Grant(("grant_model_access",), "AtMost", ("sagemaker:InvokeEndpoint",), _ENDPOINTS),
)
"""The most that roles for callers of single models may do, whatever their policies say: a permissions boundary."""

NODE_GRANTS: tuple[Grant, ...] = (
    Grant(("worker_node",), "InvokeEndpoint", ("sagemaker:InvokeEndpoint",), _sagemaker("endpoint"), _IS_TAGGED),
)
"""What programs on the worker nodes need to be allowed to ask an endpoint, with the nodes' own role."""

METRICS_SERVICE_GRANTS: tuple[Grant, ...] = (
    Grant(("metrics_service",), "DescribeJobs", ("sagemaker:DescribeTrainingJob",), _sagemaker("training-job")),
    # ListTrainingJobs, GetMetricData and ListMetrics know no resources.
    Grant(("metrics_service",), "ListJobs", ("sagemaker:ListTrainingJobs",)),
    Grant(("metrics_service",), "ReadMetrics", ("cloudwatch:GetMetricData", "cloudwatch:ListMetrics")),
    Grant(
        ("metrics_service",),
        "WriteLog",
        ("logs:CreateLogStream", "logs:PutLogEvents"),
        ("arn:{partition}:logs:{region}:{account_id}:log-group:/aws/lambda/training-metrics:*",),
    ),
)
"""What the HTTPS service of training metrics needs to be allowed, as the role of its Lambda function: see
manifests/aws/training-metrics-service.yaml, whose stack is called ``training-metrics``."""
