"""``python -m sagemaker_emulator.containers.xgboost train|serve``.

With a ``sagemaker_program`` the user's script trains, and its functions serve; else the built-in algorithm does.
"""

import contextlib
import os

from sagemaker_emulator.containers.imports import hidden


def _train() -> None:
    from sagemaker_emulator.containers.contract import CustomerError, Folders, TrainingConfig, run_training

    has_script = bool(os.environ.get("SAGEMAKER_PROGRAM"))
    if not has_script:
        with contextlib.suppress(CustomerError):  # run_training reads the same file and reports what is wrong with it
            has_script = "sagemaker_program" in TrainingConfig.read(Folders.from_environment()).hyperparameters
    if has_script:
        from sagemaker_emulator.containers.toolkit.training import run_script

        run_script("sagemaker_xgboost_container.training:main")
    with hidden("pandas", "sklearn"):
        from sagemaker_emulator.containers.xgboost.training import train

    run_training(train)


def _serve() -> None:
    # code of the user, of one model or of any of many, may use XGBoost's scikit-learn classes
    from sagemaker_emulator.containers.contract import Folders

    is_open = (
        (Folders.from_environment().model / "code").exists()
        or "SAGEMAKER_SUBMIT_DIRECTORY" in os.environ
        or os.environ.get("SAGEMAKER_MULTI_MODEL") == "true"
    )
    with hidden("pandas", *(() if is_open else ("sklearn",))):
        from sagemaker_emulator.containers.xgboost.serving import serve

    serve()


if __name__ == "__main__":
    from sagemaker_emulator.containers.contract import run_program

    run_program(train=_train, serve=_serve)
