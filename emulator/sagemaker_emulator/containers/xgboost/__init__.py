"""SageMaker's XGBoost container: the built-in algorithm, and script mode.

https://docs.aws.amazon.com/sagemaker/latest/dg/xgboost.html
"""
