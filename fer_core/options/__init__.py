"""The options of every command: frozen, typed, each stage's own and those of the stages before it."""
