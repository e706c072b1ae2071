"""Fixtures of the suite's tests that need no AWS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from botocore.model import ServiceModel
from botocore.validate import ParamValidator


@pytest.fixture(scope="session")
def service_model() -> ServiceModel:
    """botocore's model of SageMaker."""
    return botocore.session.get_session().get_service_model("sagemaker")


@pytest.fixture(scope="session")
def accepted_by_botocore(service_model: ServiceModel) -> Callable[[str, dict[str, Any]], None]:
    """Fails the test when botocore itself would refuse to send the request."""

    def check(operation: str, request: dict[str, Any]) -> None:
        report = ParamValidator().validate(request, service_model.operation_model(operation).input_shape)
        assert not report.has_errors(), report.generate_report()

    return check
