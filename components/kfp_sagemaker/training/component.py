"""The `train` component: the face Kubeflow shows of a SageMaker training job."""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg"
# pyright: reportInvalidTypeForm=false
# ruff: noqa: B006

from typing import NamedTuple

from kfp import dsl

from kfp_sagemaker._component import sagemaker_component


@sagemaker_component
def train(
    role_arn: str,
    output_s3_uri: str,
    channels: list,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    learning_curves: dsl.Output[dsl.HTML],
    algorithm: str = "",
    algorithm_version: str = "",
    training_image: str = "",
    algorithm_arn: str = "",
    hyperparameters: dict = {},
    source_s3_uri: str = "",
    entry_point: str = "",
    container_entrypoint: list = [],
    container_arguments: list = [],
    training_input_mode: str = "File",
    instance_type: str = "ml.m5.large",
    instance_count: int = 1,
    volume_size_gb: int = 30,
    instance_groups: list = [],
    keep_alive_period_seconds: int = 0,
    max_runtime_seconds: int = 86400,
    use_spot: bool = False,
    max_wait_seconds: int = 0,
    checkpoint_s3_uri: str = "",
    checkpoint_local_path: str = "",
    maximum_retry_attempts: int = 0,
    metric_definitions: list = [],
    enable_sagemaker_metrics: bool = True,
    export_metrics: bool = False,
    environment: dict = {},
    subnets: list = [],
    security_group_ids: list = [],
    output_kms_key_id: str = "",
    volume_kms_key_id: str = "",
    output_compression_type: str = "",
    enable_network_isolation: bool = False,
    enable_inter_container_traffic_encryption: bool = False,
    profiler_config: dict = {},
    profiler_rule_configurations: list = [],
    debug_hook_config: dict = {},
    debug_rule_configurations: list = [],
    tensor_board_output_config: dict = {},
    experiment_config: dict = {},
    extra_request: dict = {},
    job_name: str = "",
    job_name_prefix: str = "",
    timeout_seconds: int = 0,
    region: str = "",
    assume_role_arn: str = "",
    tags: dict = {},
) -> NamedTuple("Outputs", job_name=str, model_data_url=str, training_image=str, billable_seconds=int):
    """Train a model as a SageMaker training job and wait for it, streaming its log into the step's log.

    What to run is one of: `algorithm` (a built-in algorithm or a framework container, by name), `training_image`
    (an image of your own) or `algorithm_arn` (an algorithm resource or AWS Marketplace subscription). With
    `source_s3_uri` and `entry_point` the container runs your script. A retried step adopts the job it already
    started; a cancelled step stops it. Everything AWS charges for is the instances' time.

    Nested arguments (channels, instance groups, configurations) take snake_case keys as documented here, or
    AWS's own spelling. API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html

    Args:
        role_arn: ARN of the IAM role SageMaker assumes for the job; it needs to read the channels and write the output.
        output_s3_uri: S3 URI prefix under which AWS writes `<job_name>/output/model.tar.gz`.
        channels: Input channels, each `{"name": "train", "s3_uri": "s3://..."}` and optionally `content_type`,
            `s3_data_type` (S3Prefix, ManifestFile or AugmentedManifestFile; default S3Prefix), `distribution`
            (FullyReplicated or ShardedByS3Key; default FullyReplicated), `input_mode`, `compression` (None or Gzip),
            `record_wrapper` (None or RecordIO), `shuffle_seed`, `attribute_names`, `instance_groups`; or, in place of
            `s3_uri`, a file system: `file_system_id`, `file_system_type` (EFS or FSxLustre), `directory_path`,
            `file_system_access_mode` (ro or rw; default ro). An empty list is accepted only without `algorithm`.
        algorithm: Name of a built-in algorithm or framework, such as linear-learner, xgboost, kmeans or sklearn; its
            image is looked up for the region. Empty when `training_image` or `algorithm_arn` is given.
        algorithm_version: Version of `algorithm`, such as 1.7-1; empty takes its newest version.
        training_image: URI of the training image, in place of `algorithm`.
        algorithm_arn: ARN or name of an algorithm resource, in place of `algorithm`.
        hyperparameters: Hyperparameters by name; numbers and booleans are written as text, the way SageMaker wants
            them, and in script mode as JSON.
        source_s3_uri: Script mode: S3 URI of the source archive (sourcedir.tar.gz), such as `upload_source` returns.
        entry_point: Script mode: the script to run, as a path inside the archive, such as train.py.
        container_entrypoint: Replaces the image's entry point; empty keeps it. Not with `algorithm_arn`.
        container_arguments: Arguments for the entry point; empty passes SageMaker's own.
        training_input_mode: How channels reach the container unless a channel says otherwise: File (copied before the
            start), FastFile (streamed behind a file) or Pipe.
        instance_type: Instance type, such as ml.m5.large; sets the price. Ignored when `instance_groups` is given.
        instance_count: Number of instances. Ignored when `instance_groups` is given.
        volume_size_gb: Size of each instance's storage volume in GB; 0 for instance types that bring their own disk.
        instance_groups: Heterogeneous cluster, each `{"name", "instance_type", "instance_count"}`; empty means one
            uniform cluster.
        keep_alive_period_seconds: Keep the instances as a warm pool for so long after the job, at most 3600 unless AWS
            raised your limit; billed while kept. 0 releases them at once.
        max_runtime_seconds: AWS stops the job when it has run for so long; default one day. Bounds the cost.
        use_spot: Use spot capacity: up to 90 % cheaper, and interrupted at any time. Give a `checkpoint_s3_uri`.
        max_wait_seconds: With `use_spot`, how long to wait for capacity and run together; at least
            `max_runtime_seconds`, which is also the meaning of 0.
        checkpoint_s3_uri: S3 URI prefix to which checkpoints are copied and from which they are restored; empty keeps
            none.
        checkpoint_local_path: Folder of the checkpoints in the container; empty means /opt/ml/checkpoints.
        maximum_retry_attempts: How often AWS restarts the job after an internal server error, 1 to 30; 0 never.
        metric_definitions: Metrics to read from the log, each `{"name", "regex"}`; built-in algorithms bring theirs.
        enable_sagemaker_metrics: Keep the metrics as a time series in SageMaker too. AWS refuses it for some
            marketplace algorithms, for which it must be false.
        export_metrics: Draw the learning curves, read from CloudWatch after the job's end, as `learning_curves`. The
            component export_training_metrics does so for people without rights on CloudWatch, and for earlier jobs.
        environment: Environment variables of the container, by name.
        subnets: Subnet IDs to run in, for private data; empty runs outside of your VPC.
        security_group_ids: Security group IDs; needed exactly when `subnets` is given.
        output_kms_key_id: KMS key ID, ARN or alias that encrypts the model artifact; empty uses the bucket's default.
        volume_kms_key_id: KMS key ID or ARN that encrypts the storage volumes; empty uses AWS's own key.
        output_compression_type: GZIP (model.tar.gz, also the meaning of empty) or NONE (plain files in a folder).
        enable_network_isolation: Cut the container off from all networks; data still arrives through the channels.
        enable_inter_container_traffic_encryption: Encrypt traffic between instances; slower distributed training.
        profiler_config: ProfilerConfig of the API, such as `{"s3_output_path", "profiling_interval_in_milliseconds"}`.
        profiler_rule_configurations: Profiler rules as in the API's ProfilerRuleConfigurations.
        debug_hook_config: DebugHookConfig of the API, such as `{"s3_output_path", "collection_configurations"}`.
        debug_rule_configurations: Debugger rules as in the API's DebugRuleConfigurations.
        tensor_board_output_config: Where TensorBoard data goes, `{"s3_output_path", "local_path"}`.
        experiment_config: SageMaker experiment of the job, `{"experiment_name", "trial_name", "run_name"}`.
        extra_request: Anything else CreateTrainingJob accepts, merged into the request last and deeply: dicts are
            merged, every other value replaces what the arguments above made.
        job_name: Exact job name, which makes a second run of the pipeline collide; empty derives a unique name from
            run, task and request, which a retry finds again.
        job_name_prefix: Start of the derived name, letters, digits and hyphens; empty takes the algorithm's name.
        timeout_seconds: Stop the job and fail the step when it is not finished by then; 0 means the job's own limit
            (`max_wait_seconds` or `max_runtime_seconds`) and an hour for capacity, download and upload.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.
        tags: Tags for the job, name to value, besides those that name the run.

    Returns:
        job_name: Name of the training job.
        model_data_url: S3 URI of the model artifact.
        training_image: URI of the image that trained; empty for an algorithm ARN.
        billable_seconds: Seconds AWS charges for, per instance.
        model: The trained model: job name, ARN, S3 URI, image and console page as metadata, for lineage.
        metrics: The final value of each metric of the job, with billable_seconds and elapsed_seconds.
        learning_curves: A page with the job's metrics over time; only with `export_metrics`.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        JobFailedError: The job failed; holds AWS's reason, the last log lines and the console page.
    """
    arguments = dict(locals())  # every argument by its name; must stay the first statement
    from kfp_sagemaker.training import job

    return job.train(**arguments)
