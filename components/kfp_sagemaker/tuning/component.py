"""The `tune` component: the face Kubeflow shows of a SageMaker hyperparameter tuning job."""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg"
# pyright: reportInvalidTypeForm=false
# ruff: noqa: B006

from typing import NamedTuple

from kfp import dsl

from kfp_sagemaker._component import sagemaker_component


@sagemaker_component
def tune(
    role_arn: str,
    output_s3_uri: str,
    channels: list,
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
    objective_metric_name: str = "",
    objective_type: str = "Minimize",
    algorithm: str = "",
    algorithm_version: str = "",
    training_image: str = "",
    algorithm_arn: str = "",
    hyperparameters: dict = {},
    integer_ranges: list = [],
    continuous_ranges: list = [],
    categorical_ranges: list = [],
    auto_parameters: list = [],
    strategy: str = "Bayesian",
    hyperband_min_resource: int = 0,
    hyperband_max_resource: int = 0,
    max_training_jobs: int = 10,
    max_parallel_training_jobs: int = 1,
    max_tuning_runtime_seconds: int = 0,
    early_stopping_type: str = "Off",
    completion_criteria: dict = {},
    warm_start_parents: list = [],
    warm_start_type: str = "",
    autotune: bool = False,
    random_seed: int = -1,
    training_definitions: list = [],
    source_s3_uri: str = "",
    entry_point: str = "",
    training_input_mode: str = "File",
    instance_type: str = "ml.m5.large",
    instance_count: int = 1,
    volume_size_gb: int = 30,
    instance_groups: list = [],
    max_runtime_seconds: int = 86400,
    use_spot: bool = False,
    max_wait_seconds: int = 0,
    checkpoint_s3_uri: str = "",
    checkpoint_local_path: str = "",
    maximum_retry_attempts: int = 0,
    metric_definitions: list = [],
    environment: dict = {},
    subnets: list = [],
    security_group_ids: list = [],
    output_kms_key_id: str = "",
    volume_kms_key_id: str = "",
    output_compression_type: str = "",
    enable_network_isolation: bool = False,
    enable_inter_container_traffic_encryption: bool = False,
    extra_request: dict = {},
    job_name: str = "",
    job_name_prefix: str = "",
    timeout_seconds: int = 0,
    region: str = "",
    assume_role_arn: str = "",
    tags: dict = {},
) -> NamedTuple(
    "Outputs",
    tuning_job_name=str,
    best_job_name=str,
    best_model_data_url=str,
    best_hyperparameters=dict,
    objective_value=float,
    trials=dict,
):
    """Search the best hyperparameters as a SageMaker tuning job: many training jobs, each learning from the others.

    What is trained is described as for `train`. Fixed `hyperparameters` stay the same in every training job; those
    with a range are chosen by the `strategy`. A retried step adopts the tuning job it already started; a cancelled
    step stops it, and with it its training jobs. AWS charges for every training job as if it had been started alone.

    Nested arguments take snake_case keys as documented here, or AWS's own spelling.
    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateHyperParameterTuningJob.html

    Args:
        role_arn: ARN of the IAM role SageMaker assumes for the jobs; it reads the channels and writes the output.
        output_s3_uri: S3 URI prefix under which AWS writes `<training job>/output/model.tar.gz` of each.
        channels: Input channels as `train` takes them, each `{"name": "train", "s3_uri": "s3://..."}`.
        objective_metric_name: The metric to optimise, such as test:msd or validation:rmse; needed, here or in each of
            `training_definitions`. A built-in algorithm brings its metrics, an image of your own needs it among
            `metric_definitions`.
        objective_type: Minimize or Maximize.
        algorithm: Name of a built-in algorithm or framework, such as kmeans or xgboost; its image is looked up for the
            region. Empty when `training_image` or `algorithm_arn` is given.
        algorithm_version: Version of `algorithm`; empty takes its newest version.
        training_image: URI of the training image, in place of `algorithm`.
        algorithm_arn: ARN or name of an algorithm resource, in place of `algorithm`.
        hyperparameters: Hyperparameters that are the same in every training job, by name.
        integer_ranges: Whole numbers to search, each `{"name", "min_value", "max_value"}` and optionally
            `scaling_type`: Auto, Linear, Logarithmic or ReverseLogarithmic.
        continuous_ranges: Numbers to search, as `integer_ranges`.
        categorical_ranges: Values to choose from, each `{"name", "values": [...]}`; all there is for a Grid.
        auto_parameters: With `autotune`, hyperparameters whose range AWS chooses, each `{"name", "value_hint"}`.
        strategy: Bayesian, Random, Grid (every combination of `categorical_ranges`) or Hyperband.
        hyperband_min_resource: Hyperband: epochs a training job has before it may be stopped; 0 lets AWS choose.
        hyperband_max_resource: Hyperband: epochs at most; 0 takes the hyperparameter `epochs`.
        max_training_jobs: Training jobs in all; bounds the cost. 0 for a Grid, or where another limit ends the search.
        max_parallel_training_jobs: Training jobs at a time; fewer learn more from each other.
        max_tuning_runtime_seconds: AWS ends the search after so long, at least 120; 0 sets no such limit.
        early_stopping_type: Auto stops training jobs that are clearly worse than the others; Off lets all finish.
        completion_criteria: When else to end: `{"target_objective_metric_value": 0.1}`,
            `{"best_objective_not_improving": {"max_number_of_training_jobs_not_improving": 5}}`,
            `{"convergence_detected": {"complete_on_convergence": "Enabled"}}`.
        warm_start_parents: Names of up to five finished tuning jobs whose results this one starts from.
        warm_start_type: IdenticalDataAndAlgorithm or TransferLearning; needed with `warm_start_parents`.
        autotune: Let AWS choose ranges for `auto_parameters` and limits that are not given.
        random_seed: Seed of the choices, to repeat a search; -1 takes none.
        training_definitions: Several algorithms in one search: each `{"name": ...}` with the arguments in which it
            differs from those given here, from `role_arn` to `enable_inter_container_traffic_encryption`. Ranges given
            in one replace all ranges given here.
        source_s3_uri: Script mode: S3 URI of the source archive (sourcedir.tar.gz), such as `upload_source` returns.
        entry_point: Script mode: the script to run, as a path inside the archive, such as train.py.
        training_input_mode: How channels reach the container: File, FastFile or Pipe.
        instance_type: Instance type of each training job, such as ml.m5.large; sets the price.
        instance_count: Number of instances of each training job.
        volume_size_gb: Size of each instance's storage volume in GB; 0 for instance types that bring their own disk.
        instance_groups: Heterogeneous cluster, each `{"name", "instance_type", "instance_count"}`; empty means one
            uniform cluster.
        max_runtime_seconds: AWS stops a training job when it has run for so long; default one day.
        use_spot: Use spot capacity: up to 90 % cheaper, and interrupted at any time. Give a `checkpoint_s3_uri`.
        max_wait_seconds: With `use_spot`, how long a training job waits for capacity and runs together; at least
            `max_runtime_seconds`, which is also the meaning of 0.
        checkpoint_s3_uri: S3 URI prefix of the training jobs' checkpoints; empty keeps none.
        checkpoint_local_path: Folder of the checkpoints in the container; empty means /opt/ml/checkpoints.
        maximum_retry_attempts: How often AWS restarts a training job after an internal server error; 0 never.
        metric_definitions: Metrics to read from the log, each `{"name", "regex"}`; built-in algorithms bring theirs.
        environment: Environment variables of the containers, by name.
        subnets: Subnet IDs to run in, for private data; empty runs outside of your VPC.
        security_group_ids: Security group IDs; needed exactly when `subnets` is given.
        output_kms_key_id: KMS key ID, ARN or alias that encrypts the models; empty uses the bucket's default.
        volume_kms_key_id: KMS key ID or ARN that encrypts the storage volumes; empty uses AWS's own key.
        output_compression_type: GZIP (model.tar.gz, also the meaning of empty) or NONE (plain files in a folder).
        enable_network_isolation: Cut the containers off from all networks; data still arrives through the channels.
        enable_inter_container_traffic_encryption: Encrypt traffic between instances; slower distributed training.
        extra_request: Anything else CreateHyperParameterTuningJob accepts, merged into the request last and deeply.
        job_name: Exact name of the tuning job, at most 32 characters; empty derives a unique name from run, task and
            request, which a retry finds again.
        job_name_prefix: Start of the derived name; empty takes the algorithm's name.
        timeout_seconds: Stop the search and fail the step when it is not finished by then; 0 derives it from the
            limits, with an hour to spare.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.
        tags: Tags for the tuning job and its training jobs, name to value, besides those that name the run.

    Returns:
        tuning_job_name: Name of the tuning job.
        best_job_name: Name of the training job with the best objective.
        best_model_data_url: S3 URI of its model artifact.
        best_hyperparameters: All of its hyperparameters, fixed and tuned, as `train` takes them.
        objective_value: The final value of its objective.
        trials: Table of all training jobs: status, objective, seconds and tuned hyperparameters.
        metrics: The best objective under its metric's name, and how many training jobs completed, stopped or failed.
        report: Page with the table, the objective over time and the hyperparameters as parallel coordinates.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        JobFailedError: The tuning job failed, or no training job reported the objective.
    """
    arguments = dict(locals())  # every argument by its name; must stay the first statement
    from kfp_sagemaker.tuning import job

    return job.tune(**arguments)
