"""Judge a model: its predictions on held-out data against the truth. The metrics need the extra `evaluation`."""
