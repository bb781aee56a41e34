"""Self-instruct in many languages: instruction data from a model behind OpenAI's protocol, as MultiAlpaca was made."""
