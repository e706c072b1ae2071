"""Running containers as local processes: image registry, process groups, folders, logs."""
