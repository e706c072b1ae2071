"""Where registered scalable targets and scaling policies are kept, and that they go with their endpoint."""

from __future__ import annotations

from sagemaker_emulator.store import Store

SCALABLE_TARGET = "scalable-target"
SCALING_POLICY = "scaling-policy"


def resource_prefix(endpoint_name: str) -> str:
    """Return what the ``ResourceId`` of every variant of an endpoint begins with."""
    return f"endpoint/{endpoint_name}/variant/"


def forget_endpoint(store: Store, region: str, endpoint_name: str) -> None:
    """Delete the scalable targets and policies of an endpoint's variants."""
    prefix = resource_prefix(endpoint_name)
    for kind in (SCALABLE_TARGET, SCALING_POLICY):
        for its_region, name, document in store.all(kind):
            if its_region == region and document["ResourceId"].startswith(prefix):
                store.delete(kind, region, name)
