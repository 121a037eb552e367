"""The serving card: everything that is known of a deployment, collected for one report."""
