"""``python -m sagemaker_emulator.containers.kmeans train|serve``."""

import os


def _train() -> None:
    from sagemaker_emulator.containers.contract import run_training
    from sagemaker_emulator.containers.kmeans.training import train

    run_training(train)


def _serve() -> None:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    from sagemaker_emulator.containers.kmeans.model import KMeansModel
    from sagemaker_emulator.containers.serving import serve

    serve(KMeansModel.load)


if __name__ == "__main__":
    from sagemaker_emulator.containers.contract import run_program

    run_program(train=_train, serve=_serve)
