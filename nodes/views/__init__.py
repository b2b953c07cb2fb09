"""The pages of a flow's nodes: the editor with its canvas and forms, history, YAML, and the catalogue of models."""
