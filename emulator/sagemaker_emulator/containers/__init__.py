"""The programs behind the built-in images: they know the container contract and nothing of the emulator."""
