"""Variables and secrets: values with a name, for a whole project or one environment."""
