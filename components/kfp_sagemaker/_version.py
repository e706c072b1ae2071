"""The version of the suite, the wheel and the step image: the one place it is written."""

__version__ = "0.1.0"
