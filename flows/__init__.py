"""Where, what and when: projects, environments, flows and their schedules."""
