"""The IAM documents in ``manifests/iam``, for an example account; ``credentials documents`` makes those for yours."""

from __future__ import annotations

from collections.abc import Iterable

from scripts.generators.generated import ROOT, Generated

FOLDER = ROOT / "manifests/iam"
ISSUER = "https://oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"


def generate() -> Iterable[Generated]:
    """Make each document of the one description in ``kfp_sagemaker.access.permissions``."""
    from kfp_sagemaker.access.documents import Place, all_documents, to_json

    # The account number AWS uses in its own documentation.
    place = Place("111122223333", "example-bucket", "kubeflow", region="us-east-1")
    for name, document in all_documents(place, ISSUER, "kubeflow-user-example-com", "default-editor").items():
        yield Generated(FOLDER / f"{name}.json", to_json(document))
