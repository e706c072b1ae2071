"""Importable, as scripts written from the samples import it; it has no use in user code."""
