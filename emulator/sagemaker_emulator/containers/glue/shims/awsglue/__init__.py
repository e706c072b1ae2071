"""What scripts of Glue jobs import: ``getResolvedOptions``, ``GlueContext``, ``Job``, ``DynamicFrame``.

The part that does not need Glue's Data Catalog or its own Scala library; what is missing says so when it is called.
https://docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-python.html
"""
