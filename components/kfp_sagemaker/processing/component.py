"""The `process` component: the face Kubeflow shows of a SageMaker processing job."""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg"
# pyright: reportInvalidTypeForm=false
# ruff: noqa: B006

from typing import NamedTuple

from kfp import dsl  # noqa: F401 - the step's program starts with the same import

from kfp_sagemaker._component import sagemaker_component


@sagemaker_component
def process(
    role_arn: str,
    inputs: list = [],
    outputs: list = [],
    image_uri: str = "",
    framework: str = "",
    framework_version: str = "",
    code_s3_uri: str = "",
    entry_point: str = "",
    container_entrypoint: list = [],
    container_arguments: list = [],
    environment: dict = {},
    instance_type: str = "ml.m5.large",
    instance_count: int = 1,
    volume_size_gb: int = 30,
    max_runtime_seconds: int = 86400,
    subnets: list = [],
    security_group_ids: list = [],
    output_kms_key_id: str = "",
    volume_kms_key_id: str = "",
    enable_network_isolation: bool = False,
    enable_inter_container_traffic_encryption: bool = False,
    experiment_config: dict = {},
    extra_request: dict = {},
    job_name: str = "",
    job_name_prefix: str = "",
    timeout_seconds: int = 0,
    region: str = "",
    assume_role_arn: str = "",
    tags: dict = {},
) -> NamedTuple("Outputs", job_name=str, output_s3_uris=dict, exit_message=str):
    """Run a container over data in S3 as a SageMaker processing job and wait for it, streaming its log.

    The container is an `image_uri` or a `framework` by name. With `code_s3_uri` and `entry_point` it runs your script,
    which SageMaker places under /opt/ml/processing/input/code. A retried step adopts the job it already started; a
    cancelled step stops it. AWS charges for the instances' time.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProcessingJob.html

    Args:
        role_arn: ARN of the IAM role SageMaker assumes for the job; it reads the inputs and writes the outputs.
        inputs: What to place in the container, each `{"s3_uri", "local_path"}`, the path under /opt/ml/processing, and
            optionally `name`, `s3_data_type` (S3Prefix or ManifestFile), `s3_input_mode` (File or Pipe),
            `s3_data_distribution_type` (FullyReplicated or ShardedByS3Key), `s3_compression_type` (None or Gzip),
            `app_managed`; or a `dataset_definition` (Athena or Redshift) as in the API.
        outputs: What to keep of the container, each `{"local_path", "s3_uri"}`, the path under /opt/ml/processing, and
            optionally `name`, `s3_upload_mode` (EndOfJob or Continuous; default EndOfJob), `app_managed`,
            `feature_group_name`.
        image_uri: URI of the container image. Empty when `framework` is given.
        framework: Name of a framework container, such as sklearn, in place of `image_uri`; looked up for the
            region.
        framework_version: Version of `framework`, such as 1.2-1; empty takes its newest version.
        code_s3_uri: S3 URI of a script, of a prefix of scripts, or of a .tar.gz of scripts such as `upload_source`
            returns, for the container to run; empty runs the image's own program.
        entry_point: The script to run, such as process.py, as a path below the prefix or in the archive; empty when
            `code_s3_uri` is the script itself.
        container_entrypoint: Replaces the image's entry point; with `code_s3_uri` the command before the script, where
            empty means python3.
        container_arguments: Command line arguments of the program; numbers are written as text.
        environment: Environment variables of the container, by name.
        instance_type: Instance type, such as ml.m5.large; sets the price.
        instance_count: Number of instances.
        volume_size_gb: Size of each instance's storage volume in GB, 1 to 16384.
        max_runtime_seconds: AWS stops the job when it has run for so long, at most nine days; default one day.
        subnets: Subnet IDs to run in, for private data; empty runs outside of your VPC.
        security_group_ids: Security group IDs; needed exactly when `subnets` is given.
        output_kms_key_id: KMS key ID, ARN or alias that encrypts the outputs; empty uses the bucket's default.
        volume_kms_key_id: KMS key ID or ARN that encrypts the storage volumes; empty uses AWS's own key.
        enable_network_isolation: Cut the container off from all networks; inputs and outputs still work.
        enable_inter_container_traffic_encryption: Encrypt traffic between instances.
        experiment_config: SageMaker experiment of the job, `{"experiment_name", "trial_name", "run_name"}`.
        extra_request: Anything else CreateProcessingJob accepts, merged into the request last and deeply: dicts are
            merged, every other value replaces what the arguments above made.
        job_name: Exact job name, which makes a second run of the pipeline collide; empty derives a unique name from
            run, task and request, which a retry finds again.
        job_name_prefix: Start of the derived name, letters, digits and hyphens; empty means process.
        timeout_seconds: Stop the job and fail the step when it is not finished by then; 0 means `max_runtime_seconds`
            and an hour for capacity, download and upload.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.
        tags: Tags for the job, name to value, besides those that name the run.

    Returns:
        job_name: Name of the processing job.
        output_s3_uris: S3 URI of each output by its name.
        exit_message: What the container left as its exit message; empty when nothing.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        JobFailedError: The job failed; holds AWS's reason, the last log lines and the console page.
    """
    arguments = dict(locals())  # every argument by its name; must stay the first statement
    from kfp_sagemaker.processing import job

    return job.process(**arguments)
