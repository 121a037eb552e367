"""What an operator sees of running instances: their events, a wait for a state, `top`."""
