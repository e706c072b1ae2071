"""Training flows declared in one file, ``flow.yaml``, and the engines that run them."""
