"""Data sets and source archives in S3."""
