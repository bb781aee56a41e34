"""An invented world: entities whose facts are stated in several languages, some in English alone."""
