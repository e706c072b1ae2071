"""Faces: what a step does itself about data in S3: split it, upload sources, verify access."""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg"
# pyright: reportInvalidTypeForm=false
# ruff: noqa: B006

from typing import NamedTuple

from kfp import dsl  # noqa: F401 - the step's program starts with the same import

from kfp_sagemaker._component import sagemaker_component


@sagemaker_component
def split_dataset(
    input_s3_uri: str,
    output_s3_uri: str,
    train_fraction: float = 0.7,
    validation_fraction: float = 0.3,
    test_fraction: float = 0.0,
    seed: int = 0,
    has_header: bool = False,
    compression_type: str = "",
    output_kms_key_id: str = "",
    region: str = "",
    assume_role_arn: str = "",
    tags: dict = {},
) -> NamedTuple("Outputs", train_s3_uri=str, validation_s3_uri=str, test_s3_uri=str, row_counts=dict):
    """Split CSV data in S3 into training, validation and test parts.

    The step streams: it reads the objects once in the order of their keys and uploads the parts as it goes, so data
    larger than memory works. Rows are assigned one by one by a random generator with the given seed, in such a way that
    each part's size is within one row of its exact share of the whole and of every block of 1,000 rows; rows keep
    their order inside a part. Same data and seed, same parts. A quoted field may contain newlines. Input objects that
    end in .gz are decompressed.

    Args:
        input_s3_uri: S3 URI of one CSV object, or of a prefix, all of whose objects together are the data.
        output_s3_uri: S3 URI prefix; below it `train/train.csv`, `validation/validation.csv`, `test/test.csv`.
        train_fraction: Share of the rows for training, 0 to 1; the three fractions add up to 1.
        validation_fraction: Share of the rows for validation, 0 to 1; 0 writes no such part.
        test_fraction: Share of the rows for testing, 0 to 1; 0 writes no such part.
        seed: Seed of the random assignment.
        has_header: Whether each object begins with a header line, which then also begins each part.
        compression_type: Gzip compresses the parts (`train.csv.gz`); None or empty leaves them plain.
        output_kms_key_id: KMS key ID, ARN or alias that encrypts the parts; empty uses the bucket's default.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.
        tags: Tags for the S3 objects, name to value; at most 10.

    Returns:
        train_s3_uri: S3 URI of the training object; empty when its fraction is 0.
        validation_s3_uri: S3 URI of the validation object; empty when its fraction is 0.
        test_s3_uri: S3 URI of the test object; empty when its fraction is 0.
        row_counts: Number of rows by part: train, validation and test, without header lines.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        DataError: The data is not CSV, or has too few rows for the parts asked for; nothing is left in S3.
    """
    arguments = dict(locals())  # every argument by its name; must stay the first statement
    from kfp_sagemaker.data import split

    return split.split_dataset(**arguments)


@sagemaker_component
def upload_source(
    files: dict,
    s3_uri: str,
    kms_key_id: str = "",
    region: str = "",
    assume_role_arn: str = "",
    tags: dict = {},
) -> NamedTuple("Outputs", source_s3_uri=str):
    """Pack source files into an archive and upload it, for the script mode of training and serving containers.

    The archive depends on the files alone: the same files give the same bytes, and an archive that is already there
    with these bytes is not uploaded again.

    Args:
        files: Text of each file by its path in the archive, such as `{"train.py": "..."}`.
        s3_uri: S3 URI of the archive, ending in .tar.gz; or an S3 URI prefix, below which the archive becomes
            `<digest of the files>/sourcedir.tar.gz`.
        kms_key_id: KMS key ID, ARN or alias that encrypts the archive; empty uses the bucket's default.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.
        tags: Tags for the S3 object, name to value; at most 10.

    Returns:
        source_s3_uri: S3 URI of the archive, for `source_s3_uri` of `train`.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
    """
    arguments = dict(locals())  # every argument by its name; must stay the first statement
    from kfp_sagemaker.data import source

    return source.upload_source(**arguments)


@sagemaker_component(cache=False)
def verify_bucket_access(s3_uri: str, role_arn: str = "", region: str = "", assume_role_arn: str = "") -> NamedTuple(
    "Outputs", s3_uri=str, role_was_asked=bool
):
    """Verify that this step and a role can write and read an S3 prefix, before anything that costs is started.

    The step writes a small object and reads it; about the role it asks IAM, which needs iam:SimulatePrincipalPolicy.
    Without that right the step says so and goes on.

    API: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html

    Args:
        s3_uri: S3 URI of a bucket or of a prefix in one.
        role_arn: ARN of the IAM role that SageMaker's jobs and endpoints run as. Empty: only the step's own access.
        region: AWS region, such as us-east-1; empty takes it from the step's environment (AWS_REGION).
        assume_role_arn: ARN of a role the step itself assumes before it calls AWS; empty uses the step's credentials.

    Returns:
        s3_uri: The prefix, for later steps.
        role_was_asked: Whether IAM could be asked about the role.

    Raises:
        InputError: Arguments are wrong; all of them are named, before anything is sent to AWS.
        AccessDeniedError: The step or the role may not do something; names the actions.
        ResourceMissingError: There is no such bucket.
    """
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.data import bucket_access

    return bucket_access.verify(open_session(region, assume_role_arn), role_arn=role_arn, s3_uri=s3_uri)
