"""One module a connector; nodes.connections.connectors.catalogue finds them."""
