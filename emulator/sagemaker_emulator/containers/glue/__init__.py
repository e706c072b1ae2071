"""The environment of Glue jobs: runs a script with its arguments, as a Python shell job or on local Spark."""
