"""Local emulators of the shipped platforms: nothing of the engine, and no connector, is read."""
