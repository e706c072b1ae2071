"""Churn of telecom customers: train a model, serve it, and see whether drift of its input is noticed.

Compile with ``kfp-sagemaker compile churn_monitor``, run here with ``kfp-sagemaker run churn_monitor``.
"""

# KFP reads these annotations: bare list and dict are its types, an inline NamedTuple is how outputs are declared,
# and a mutable default is never mutated because each step is its own process.
# mypy: disable-error-code="valid-type, type-arg, no-any-return, untyped-decorator"
# pyright: reportInvalidTypeForm=false, reportReturnType=false, reportArgumentType=false
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportIndexIssue=false
# ruff: noqa: B006

from pathlib import Path
from typing import NamedTuple

from kfp import dsl

from kfp_sagemaker import components
from kfp_sagemaker._component import sagemaker_component

PREPROCESSOR = Path(__file__).with_name("leave_out_answers.py")


@sagemaker_component
def generate_customers(s3_uri: str, customers: int, seed: int = 0, region: str = "") -> NamedTuple(
    "Outputs", train_s3_uri=str, validation_s3_uri=str, baseline_s3_uri=str, traffic_s3_uri=str
):
    """Make up telecom customers, about 15 in 100 of whom leave, and write them to S3.

    The same seed gives the same customers. Of ten, seven are for training, two for validation and one for traffic.

    Args:
        s3_uri: S3 prefix to write below.
        customers: How many, at least 200.
        seed: Seed of the random generator.
        region: AWS region; empty takes it from the step's environment.

    Returns:
        train_s3_uri: S3 prefix of the training set: CSV without header, the label (1 has left) first.
        validation_s3_uri: S3 prefix of the validation set, in the same form.
        baseline_s3_uri: The training set as the endpoint would see it: CSV with header, without the label.
        traffic_s3_uri: Customers to ask the endpoint about: CSV with header, without the label.
    """
    import math
    import random

    from kfp_sagemaker.aws import s3
    from kfp_sagemaker.aws.session import open_session
    from kfp_sagemaker.aws.validation import Problems

    problems = Problems("generate_customers")
    problems.s3_uri("s3_uri", s3_uri)
    problems.between("customers", customers, 200, 1_000_000)
    problems.raise_if_any()
    rng = random.Random(seed)  # noqa: S311 - customers, not secrets
    # Minutes, calls and charges of each part of the day: mean, deviation, mean number of calls, price of a minute.
    parts = {
        "day": (180, 54, 100, 0.17),
        "evening": (201, 51, 100, 0.085),
        "night": (201, 51, 100, 0.045),
        "international": (10.2, 2.8, 4.5, 0.27),
    }
    names = ["account_length", "area_code", "international_plan", "voice_mail_plan", "voice_mail_messages"]
    names += [f"{part}_{what}" for part in parts for what in ("minutes", "calls", "charge")]
    names.append("customer_service_calls")
    rows, labels = [], []
    for _ in range(customers):
        plan, mail = int(rng.random() < 0.1), int(rng.random() < 0.27)
        row: list[float] = [max(1, round(rng.gauss(101, 40))), rng.choice((408, 415, 415, 510)), plan, mail]
        row.append(max(1, round(rng.gauss(29, 7))) if mail else 0)
        for mean, deviation, calls, price in parts.values():
            minutes = max(0.0, round(rng.gauss(mean, deviation), 1))
            row += [minutes, max(1, round(rng.gauss(calls, math.sqrt(4 * calls)))), round(minutes * price, 2)]
        complaints = sum(rng.random() < 0.17 for _ in range(9))
        row.append(complaints)
        # Long days, an international plan and complaints drive customers away; a mail box keeps them.
        reasons = (row[5] - 197) / 22 + 2.6 * plan + 1.5 * (complaints - 3.2) - 1.2 * mail + rng.gauss(0, 0.7)
        rows.append(",".join(map(str, row)))
        labels.append(int(reasons > 0))
    session = open_session(region)
    first, second = customers * 7 // 10, customers * 9 // 10
    labelled = [f"{label},{row}" for label, row in zip(labels, rows, strict=True)]
    files = {
        "train/customers.csv": labelled[:first],
        "validation/customers.csv": labelled[first:second],
        "baseline/customers.csv": [",".join(names), *rows[:first]],
        "traffic/customers.csv": [",".join(names), *rows[second:]],
    }
    for name, lines in files.items():
        s3.write_text(session, s3.join_uri(s3_uri, name), "\n".join(lines) + "\n")
    print(f"{customers} customers, {100 * sum(labels) / customers:.1f} % of whom have left, in {s3_uri}")
    train, validation, baseline, traffic = (s3.join_uri(s3_uri, name) for name in files)
    return train.rpartition("/")[0] + "/", validation.rpartition("/")[0] + "/", baseline, traffic


@sagemaker_component(cache=False)
def plan_run(s3_uri: str, preprocessor: str, region: str = "") -> NamedTuple(
    "Outputs", run_s3_uri=str, data_capture=dict, preprocessor_s3_uri=str
):
    """Say where this run keeps its things, apart from other runs, and upload the schedule's preprocessor.

    Args:
        s3_uri: S3 prefix below which runs write.
        preprocessor: Text of the preprocessor.
        region: AWS region; empty takes it from the step's environment.

    Returns:
        run_s3_uri: S3 prefix of this run.
        data_capture: What the endpoint captures: every request and every answer.
        preprocessor_s3_uri: S3 URI of the preprocessor.
    """
    from kfp_sagemaker.aws import run_context, s3
    from kfp_sagemaker.aws.session import open_session

    run_s3_uri = s3.join_uri(s3_uri, run_context.current().run_id or "local")
    preprocessor_s3_uri = s3.join_uri(run_s3_uri, "preprocessor.py")
    s3.write_text(open_session(region), preprocessor_s3_uri, preprocessor)
    capture = {
        "destination_s3_uri": s3.join_uri(run_s3_uri, "capture"),
        "sampling_percentage": 100,
        "csv_content_types": ["text/csv"],
    }
    return run_s3_uri, capture, preprocessor_s3_uri


@dsl.pipeline(
    name="churn-monitor",
    description="Telecom churn: a model on an endpoint whose input drifts, and a monitor that notices it.",
)
def churn_monitor(
    bucket: str,
    role_arn: str,
    prefix: str = "churn-monitor",
    region: str = "",
    model_data_url: str = "",
    customers: int = 3000,
    seed: int = 2020,
    xgboost_version: str = "1.7-1",
    hyperparameters: dict = {
        "objective": "binary:logistic",
        "eval_metric": "auc",
        "num_round": 80,
        "max_depth": 5,
        "eta": 0.2,
        "subsample": 0.8,
        "min_child_weight": 6,
    },
    traffic_rows: int = 120,
    traffic_rows_per_second: float = 20.0,
    drift: list = [
        {"column": "day_minutes", "shift": 90},
        {"column": "customer_service_calls", "scale": 4},
        {"column": "international_minutes", "nulls": 0.3},
    ],
    engine: str = "step",
    analyzer_image_uri: str = "",
    capture_wait_seconds: int = 900,
    with_managed_schedule: bool = False,
    training_instance_type: str = "ml.m5.large",
    endpoint_instance_type: str = "ml.m5.large",
    monitoring_instance_type: str = "ml.m5.xlarge",
    max_training_seconds: int = 3600,
    keep_endpoint: bool = False,
) -> None:
    """Train and serve a churn model, send clean and drifted traffic, and check that the monitor tells them apart.

    Args:
        bucket: S3 bucket for data, captures and reports; it must exist, in `region`.
        role_arn: ARN of the IAM role SageMaker assumes; it reads and writes the bucket.
        prefix: Key prefix in the bucket below which the run writes.
        region: AWS region, such as us-east-1; empty takes it from the steps' environment (AWS_REGION).
        model_data_url: S3 URI of an archive with an XGBoost model of the same columns. Empty: train one.
        customers: Customers to make up; a tenth of them are traffic.
        seed: Seed of the customers and of the drift.
        xgboost_version: Version of SageMaker's XGBoost container.
        hyperparameters: Hyperparameters of XGBoost.
        traffic_rows: Customers to ask the endpoint about, clean and again with drift.
        traffic_rows_per_second: Upper limit of the rate.
        drift: What changes in the drifted traffic; see the component send_traffic. Empty: nothing, and then the
            second analysis must find nothing either.
        engine: Where data is analysed: step, image (`analyzer_image_uri` as a processing job) or managed (AWS's own
            container, for accounts that have it).
        analyzer_image_uri: Our analyzer's image in ECR, for engine image.
        capture_wait_seconds: How long to wait for captured data; AWS writes it some minutes late.
        with_managed_schedule: Also run a monitoring schedule of SageMaker Model Monitor, for accounts that have it.
        training_instance_type: Instance type of the training job.
        endpoint_instance_type: Instance type of the endpoint.
        monitoring_instance_type: Instance type of analyses that are jobs.
        max_training_seconds: AWS stops the training job after so long.
        keep_endpoint: Keep endpoint and model; the endpoint costs until you delete it.
    """
    goodbye = components.delete_resources_on_exit(keep=keep_endpoint, region=region)
    goodbye.set_display_name("Clean up")
    with dsl.ExitHandler(goodbye, name="Train, serve and monitor"):
        verified = components.verify_bucket_access(
            s3_uri=f"s3://{bucket}/{prefix}", role_arn=role_arn, region=region
        ).set_display_name("Verify access to the bucket")
        plan = plan_run(
            s3_uri=verified.outputs["s3_uri"], preprocessor=PREPROCESSOR.read_text(), region=region
        ).set_display_name("Plan the run")
        base = plan.outputs["run_s3_uri"]
        data = generate_customers(
            s3_uri=f"{base}/data", customers=customers, seed=seed, region=region
        ).set_display_name("Make up customers")

        with dsl.If(model_data_url == "", name="No model is given"):
            trained = components.train(
                algorithm="xgboost",
                algorithm_version=xgboost_version,
                hyperparameters=hyperparameters,
                channels=[
                    {"name": "train", "s3_uri": data.outputs["train_s3_uri"], "content_type": "text/csv"},
                    {"name": "validation", "s3_uri": data.outputs["validation_s3_uri"], "content_type": "text/csv"},
                ],
                output_s3_uri=f"{base}/model",
                job_name_prefix="churn",
                instance_type=training_instance_type,
                max_runtime_seconds=max_training_seconds,
                role_arn=role_arn,
                region=region,
            ).set_display_name("Train the churn model")
            trained_model = components.create_model(
                containers=[
                    {
                        "algorithm": "xgboost",
                        "algorithm_version": xgboost_version,
                        "model_data_url": trained.outputs["model_data_url"],
                    }
                ],
                role_arn=role_arn,
                region=region,
            ).set_display_name("Create the model")
        with dsl.Else(name="A model is given"):
            given_model = components.create_model(
                containers=[
                    {
                        "algorithm": "xgboost",
                        "algorithm_version": xgboost_version,
                        "model_data_url": model_data_url,
                    }
                ],
                role_arn=role_arn,
                region=region,
            ).set_display_name("Create the given model")
        endpoint = components.deploy_endpoint(
            model_name=dsl.OneOf(trained_model.outputs["model_name"], given_model.outputs["model_name"]),
            instance_type=endpoint_instance_type,
            data_capture=plan.outputs["data_capture"],
            region=region,
        ).set_display_name("Deploy with data capture")
        endpoint_name = endpoint.outputs["endpoint_name"]
        baseline = components.suggest_baseline(
            dataset_s3_uri=data.outputs["baseline_s3_uri"],
            output_s3_uri=f"{base}/baseline",
            dataset_format="csv",
            engine=engine,
            image_uri=analyzer_image_uri,
            role_arn=role_arn,
            instance_type=monitoring_instance_type,
            region=region,
        ).set_display_name("Suggest a baseline")

        previous = endpoint
        for traffic_name, changes, check_name in (
            ("clean", [], "Check that nothing is found"),
            ("drifted", drift, "Check that the drift is found"),
        ):
            traffic = (
                components.send_traffic(
                    endpoint_name=endpoint_name,
                    input_s3_uri=data.outputs["traffic_s3_uri"],
                    has_header=True,
                    row_count=traffic_rows,
                    rows_per_second=traffic_rows_per_second,
                    drift=changes,
                    seed=seed,
                    region=region,
                )
                .set_display_name(f"Send {traffic_name} traffic")
                .after(previous)
            )
            captured = components.list_captured_data(
                endpoint_name=endpoint_name,
                start_time=traffic.outputs["started_at"],
                end_time=traffic.outputs["ended_at"],
                expected_records=traffic_rows,
                max_wait_seconds=capture_wait_seconds,
                region=region,
            ).set_display_name(f"List the {traffic_name} capture")
            analysis = (
                components.monitor_data_quality(
                    endpoint_name=endpoint_name,
                    statistics_s3_uri=baseline.outputs["statistics_s3_uri"],
                    constraints_s3_uri=baseline.outputs["constraints_s3_uri"],
                    output_s3_uri=f"{base}/reports/{traffic_name}",
                    # The answers follow the input: they would drift with it.
                    capture=["Input"],
                    start_time=traffic.outputs["started_at"],
                    end_time=traffic.outputs["ended_at"],
                    engine=engine,
                    image_uri=analyzer_image_uri,
                    role_arn=role_arn,
                    instance_type=monitoring_instance_type,
                    region=region,
                )
                .set_display_name(f"Analyse the {traffic_name} traffic")
                .after(captured)
            )
            previous = components.check_violations(
                violations_s3_uri=analysis.outputs["violations_s3_uri"],
                expected_features=traffic.outputs["drifted_columns"],
                title=f"Violations of {traffic_name} traffic",
                region=region,
            ).set_display_name(check_name)

        with dsl.If(with_managed_schedule == True, name="Managed schedule"):  # noqa: E712 - kfp compares it later
            schedule = (
                components.create_monitoring_schedule(
                    endpoint_name=endpoint_name,
                    role_arn=role_arn,
                    output_s3_uri=f"{base}/reports/schedule",
                    statistics_s3_uri=baseline.outputs["statistics_s3_uri"],
                    constraints_s3_uri=baseline.outputs["constraints_s3_uri"],
                    schedule_expression="NOW",
                    data_analysis_start_time="-PT1H",
                    data_analysis_end_time="-PT0H",
                    image_uri=analyzer_image_uri,
                    record_preprocessor_s3_uri=plan.outputs["preprocessor_s3_uri"],
                    instance_type=monitoring_instance_type,
                    schedule_name_prefix="churn",
                    region=region,
                )
                .set_display_name("Create a schedule")
                .after(previous)
            )
            execution = components.wait_for_monitoring_execution(
                schedule_name=schedule.outputs["schedule_name"], region=region
            ).set_display_name("Wait for its execution")
            components.check_violations(
                violations_s3_uri=execution.outputs["violations_s3_uri"],
                expected_features=traffic.outputs["drifted_columns"],
                title="Violations the schedule found",
                region=region,
            ).set_display_name("Check what the schedule found")
            stopped = (
                components.stop_monitoring_schedule(schedule_name=schedule.outputs["schedule_name"], region=region)
                .set_display_name("Stop the schedule")
                .after(execution)
            )
            started = components.start_monitoring_schedule(
                schedule_name=stopped.outputs["schedule_name"], region=region
            ).set_display_name("Start it again")
            components.delete_monitoring_schedule(
                schedule_name=started.outputs["schedule_name"], region=region
            ).set_display_name("Delete the schedule")
