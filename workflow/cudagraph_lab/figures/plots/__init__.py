"""The figures, a module each: its docstring opens with its question, `draw` draws it."""
