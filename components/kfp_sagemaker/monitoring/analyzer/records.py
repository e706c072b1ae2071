"""One captured invocation, as the Model Monitor container hands it to a record preprocessor.

The classes and attributes are those of the developer guide's page "Preprocessing and Postprocessing".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class EventMetadata:
    """``eventMetadata`` of a captured line.

    Attributes:
        event_id: ``eventId``.
        event_time: ``inferenceTime``.
        custom_attribute: ``customAttributes``, a list of strings, or None.
        target_model: ``targetModel``, where the capture has it; ours.
    """

    def __init__(self, members: Mapping[str, Any]) -> None:
        self.event_id = members.get("eventId")
        self.event_time = members.get("inferenceTime")
        self.custom_attribute = members.get("customAttributes")
        self.target_model = members.get("targetModel")


class EventData:
    """One side of a captured line: what was sent, or what was answered."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self.encoding = members.get("encoding")
        self.data = members.get("data")
        self.observedContentType = members.get("observedContentType")
        self.mode = members.get("mode")

    @property
    def content_type(self) -> Any:
        """``observedContentType`` under the name some scripts use."""
        return self.observedContentType

    def as_dict(self) -> dict[str, Any]:
        """The members, under AWS's names."""
        return {"encoding": self.encoding, "data": self.data, "observedContentType": self.observedContentType}


class CapturedData:
    """One captured line."""

    def __init__(self, event_dict: dict[str, Any]) -> None:
        self.event_dict = event_dict
        self.event_version = event_dict.get("eventVersion")
        self.event_metadata = EventMetadata(event_dict["eventMetadata"]) if event_dict.get("eventMetadata") else None
        sides = event_dict.get("captureData") or {}
        self.endpoint_input = self._side(sides, "endpointInput")
        self.endpoint_output = self._side(sides, "endpointOutput")
        self.batch_transform_output = self._side(sides, "batchTransformOutput")
        self.ground_truth = self._side(event_dict, "groundTruthData")

    @staticmethod
    def _side(members: Mapping[str, Any], name: str) -> EventData | None:
        return EventData(members[name]) if members.get(name) else None

    def as_dict(self) -> dict[str, Any]:
        """The line, with what the script changed of its sides."""
        sides = {
            "endpointInput": self.endpoint_input,
            "endpointOutput": self.endpoint_output,
            "batchTransformOutput": self.batch_transform_output,
        }
        members = {name: side.as_dict() for name, side in sides.items() if side is not None}
        return self.event_dict | ({"captureData": members} if members else {})

    def __str__(self) -> str:
        return str(self.as_dict())
