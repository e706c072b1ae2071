"""Models, and the archives a multi-model endpoint serves."""
