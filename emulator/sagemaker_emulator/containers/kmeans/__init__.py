"""SageMaker's k-means: web-scale k-means with extra centers, reduced by Lloyd's iteration.

https://docs.aws.amazon.com/sagemaker/latest/dg/algo-kmeans-tech-notes.html
"""
