"""One module for each kind of generated file; each has ``generate() -> Iterable[Generated]``."""
