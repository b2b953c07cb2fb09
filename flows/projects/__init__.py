"""Where code comes from: projects, their repositories and folders, environments, and their forms.

Not here: what dbt makes of the code (nodes.dbt).
"""
