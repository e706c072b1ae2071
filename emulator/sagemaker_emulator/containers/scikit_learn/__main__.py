"""``python -m sagemaker_emulator.containers.scikit_learn train|serve``."""

import os


def _train() -> None:
    from sagemaker_emulator.containers.toolkit.training import run_script

    run_script("sagemaker_sklearn_container.training:main")


def _serve() -> None:
    # One model answers at a time: more threads in the numeric libraries only cost memory and switches.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    from sagemaker_emulator.containers.scikit_learn.serving import serve

    serve()


if __name__ == "__main__":
    from sagemaker_emulator.containers.contract import run_program

    run_program(train=_train, serve=_serve)
