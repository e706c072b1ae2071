"""Importable under the names of the real containers' libraries: this folder is put on `sys.path` for user code."""
