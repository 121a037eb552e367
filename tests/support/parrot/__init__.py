"""A complete engine of a third party: it uses the Protocol and nothing else of the launcher."""
