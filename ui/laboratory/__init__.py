"""The views of the solver laboratory. They show what the engine finds and compute nothing themselves."""
