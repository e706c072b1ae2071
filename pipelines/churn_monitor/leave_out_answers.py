"""Preprocessor of the managed schedule: what was asked is analysed, what was answered is left out.

The answers follow the input, so they would drift with it. Model Monitor's container calls this for each captured
invocation; it puts the keys in order and names the columns as the baseline does.
"""

from typing import Any


def preprocess_handler(inference_record: Any) -> dict[str, str]:
    """The values of one request by their place."""
    values = inference_record.endpoint_input.data.rstrip("\n").split(",")
    return {str(place).zfill(20): value for place, value in enumerate(values)}
