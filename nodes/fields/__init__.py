"""Settings described as pydantic models, and the forms made of them. Knows neither connectors nor warehouses."""
