"""The part of the XGBoost container's library that user scripts import."""
