"""``python -m sagemaker_emulator.containers.linear_learner train|serve``."""

import os

# The matrices are small: a second thread costs more than it brings, and many of these programs run side by side.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")


def _train() -> None:
    from sagemaker_emulator.containers.contract import run_training
    from sagemaker_emulator.containers.linear_learner.training import train

    run_training(train)


def _serve() -> None:
    from sagemaker_emulator.containers.linear_learner.model import LinearModel
    from sagemaker_emulator.containers.serving import serve

    serve(LinearModel.load)


if __name__ == "__main__":
    from sagemaker_emulator.containers.contract import run_program

    run_program(train=_train, serve=_serve)
