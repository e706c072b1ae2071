"""Tags of any resource, by its ARN; each resource keeps its tags in its own document.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AddTags.html
"""

from __future__ import annotations

from typing import Any

from sagemaker_emulator.api import common
from sagemaker_emulator.errors import ResourceLimitExceeded, ValidationException
from sagemaker_emulator.operations import Context, operation

MAX_TAGS = 50


@operation("AddTags")
async def add_tags(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Add or overwrite tags; answers all the resource has then."""
    kind, document = _find(ctx, params["ResourceArn"])
    tags = {tag["Key"]: tag["Value"] for tag in [*document.get("Tags", []), *params["Tags"]]}
    if len(tags) > MAX_TAGS:
        raise ResourceLimitExceeded(
            f"{params['ResourceArn']} would have {len(tags)} tags; a resource can have at most {MAX_TAGS}."
        )
    return {"Tags": _put(ctx, kind, document, tags)}


@operation("DeleteTags")
async def delete_tags(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Remove tags by their keys; ones the resource does not have are passed over."""
    kind, document = _find(ctx, params["ResourceArn"])
    removed = set(params["TagKeys"])
    kept = {tag["Key"]: tag["Value"] for tag in document.get("Tags", []) if tag["Key"] not in removed}
    _put(ctx, kind, document, kept)
    return {}


@operation("ListTags")
async def list_tags(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer the tags of a resource, by key."""
    _, document = _find(ctx, params["ResourceArn"])
    return common.cut_page(
        document.get("Tags", []),
        params,
        position=lambda tag: (common.sortable(None), tag["Key"]),
        is_descending=False,
        entry=dict,
        result_key="Tags",
        default_size=MAX_TAGS,
    )


def _find(ctx: Context, resource_arn: str) -> tuple[str, dict[str, Any]]:
    found = common.find_by_arn(ctx, resource_arn)
    if found is None:
        raise ValidationException(f'Could not find resource "{resource_arn}".')
    return found


def _put(ctx: Context, kind: str, document: dict[str, Any], tags: dict[str, str]) -> list[dict[str, str]]:
    document["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    ctx.app.store.put(kind, ctx.region, document[common.name_key(kind)], document)
    return list(document["Tags"])
