"""What each kind of node does: Transformation, Connection, Custom Script."""
