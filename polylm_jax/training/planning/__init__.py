"""A recipe planned for hardware that isn't there: memory, work, traffic, time and money of its step."""
