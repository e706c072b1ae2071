"""SageMaker's scikit-learn container: the user's script trains and serves.

https://docs.aws.amazon.com/sagemaker/latest/dg/sklearn.html
"""
