"""Local emulators of the shipped platforms; they import nothing of the engine and read no connector."""
