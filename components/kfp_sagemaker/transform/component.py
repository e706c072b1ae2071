"""The `batch_transform` component: the face Kubeflow shows of a SageMaker batch transform job."""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg"
# pyright: reportInvalidTypeForm=false
# ruff: noqa: B006

from typing import NamedTuple

from kfp import dsl  # noqa: F401 - the step's program starts with the same import

from kfp_sagemaker._component import sagemaker_component


@sagemaker_component
def batch_transform(
    model_name: str,
    input_s3_uri: str,
    output_s3_uri: str,
    instance_type: str = "ml.m5.large",
    instance_count: int = 1,
    content_type: str = "",
    split_type: str = "",
    compression_type: str = "",
    s3_data_type: str = "S3Prefix",
    accept: str = "",
    assemble_with: str = "",
    batch_strategy: str = "",
    max_payload_mb: int = -1,
    max_concurrent_transforms: int = 0,
    input_filter: str = "",
    output_filter: str = "",
    join_source: str = "",
    environment: dict = {},
    invocations_timeout_seconds: int = 0,
    invocations_max_retries: int = -1,
    data_capture_config: dict = {},
    output_kms_key_id: str = "",
    volume_kms_key_id: str = "",
    experiment_config: dict = {},
    extra_request: dict = {},
    job_name: str = "",
    job_name_prefix: str = "",
    timeout_seconds: int = 86400,
    region: str = "",
    assume_role_arn: str = "",
    tags: dict = {},
) -> NamedTuple("Outputs", job_name=str, output_s3_uri=str, output_file_s3_uri=str):
    """Run a model over files in S3 as a SageMaker batch transform job and wait for it, streaming its log.

    Each input object `<name>` becomes one output object `<name>.out`. A retried step adopts the job it already
    started; a cancelled step stops it. AWS charges for the instances' time.

    API: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTransformJob.html

    Args:
        model_name: Name of the SageMaker model, such as `create_model` returns.
        input_s3_uri: S3 URI of one object, of a prefix, or of a manifest (see `s3_data_type`).
        output_s3_uri: S3 URI prefix for the results.
        instance_type: Instance type, such as ml.m5.large; sets the price.
        instance_count: Number of instances; objects are spread over them, a single object is not.
        content_type: MIME type of the input, such as text/csv; empty lets the container decide.
        split_type: How an object is cut into records: Line, RecordIO, TFRecord or None; empty means None, the whole
            object in one request.
        compression_type: Compression of the input: Gzip or None; empty means None.
        s3_data_type: S3Prefix, ManifestFile or AugmentedManifestFile.
        accept: MIME type asked of the container, such as text/csv; empty lets it decide.
        assemble_with: How answers are joined: Line (one line each) or None; empty means None, as they come.
        batch_strategy: MultiRecord (as many records a request as `max_payload_mb` holds) or SingleRecord; empty means
            MultiRecord.
        max_payload_mb: Largest request in MB; 0 streams an object of any size, -1 means AWS's default of 6.
        max_concurrent_transforms: Requests sent at once to each container; 0 lets AWS choose.
        input_filter: JSONPath of what of a record the model sees, such as $[1:] to leave out the first column; empty
            means all of it.
        output_filter: JSONPath of what of a record (with its answer, see `join_source`) is written; empty means all.
        join_source: Input joins each answer to its record; None or empty writes the answer alone.
        environment: Environment variables of the container for this job, by name; at most 16.
        invocations_timeout_seconds: Seconds one request may take, 1 to 3600; 0 means AWS's default of 600.
        invocations_max_retries: Repetitions of a failed request, 0 to 3; -1 means AWS's default.
        data_capture_config: Capture of requests and answers for monitoring: `{"destination_s3_uri", "kms_key_id",
            "generate_inference_id"}`; empty captures nothing.
        output_kms_key_id: KMS key ID, ARN or alias that encrypts the results; empty uses the bucket's default.
        volume_kms_key_id: KMS key ID or ARN that encrypts the storage volumes; empty uses AWS's own key.
        experiment_config: SageMaker experiment of the job, `{"experiment_name", "trial_name", "run_name"}`.
        extra_request: Anything else CreateTransformJob accepts, merged into the request last and deeply: dicts are
            merged, every other value replaces what the arguments above made.
        job_name: Exact job name, which makes a second run of the pipeline collide; empty derives a unique name from
            run, task and request, which a retry finds again.
        job_name_prefix: Start of the derived name, letters, digits and hyphens; empty means transform.
        timeout_seconds: Stop the job and fail the step when it is not finished after so long. AWS itself sets no limit
            on a transform job, so this one bounds the cost; default one day.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.
        tags: Tags for the job, name to value, besides those that name the run.

    Returns:
        job_name: Name of the transform job.
        output_s3_uri: S3 URI prefix that holds the results.
        output_file_s3_uri: S3 URI of the result when the input is one object; empty for a prefix or a manifest.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        JobFailedError: The job failed; holds AWS's reason, the last log lines and the console page.
    """
    arguments = dict(locals())  # every argument by its name; must stay the first statement
    from kfp_sagemaker.transform import job

    return job.batch_transform(**arguments)
