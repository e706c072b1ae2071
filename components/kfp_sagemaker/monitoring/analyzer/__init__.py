"""The open data-quality analyzer: what SageMaker Model Monitor's container does, on any machine.

Run it as a program, with the container's environment variables (``environment.py`` lists them)::

    dataset_source=data/ dataset_format='{"csv": {"header": true}}' output_path=report/ \
        python -m kfp_sagemaker.monitoring.analyzer

or call it::

    from kfp_sagemaker.monitoring.analyzer import analysis
    from kfp_sagemaker.monitoring.analyzer.options import Options

    options = Options(dataset_sources=["s3://bucket/train.csv"], dataset_format="csv", output_path="report")
    result = analysis.run(options)

It needs the extra ``monitoring`` (polars, datasketches); ``options.py`` and ``environment.py`` do not.
"""
