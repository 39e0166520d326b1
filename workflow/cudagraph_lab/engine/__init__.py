"""What is true of a vLLM version: capture sizes, graph modes, start-up log, trace, environment."""
