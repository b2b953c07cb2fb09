"""One module a connector; nodes.connectors.catalogue finds them."""
