"""What flows consist of: nodes, their selections and connections, and what dbt knows of them."""
