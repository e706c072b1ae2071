"""SageMaker's linear learner: many linear models trained at once, the best one kept.

https://docs.aws.amazon.com/sagemaker/latest/dg/linear-learner.html
"""
