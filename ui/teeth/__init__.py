"""The parts of the tooth arrangement's page: what people give, and what they get."""
