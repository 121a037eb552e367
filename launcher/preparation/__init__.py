"""From a profile to what could be started here: ports leased, the plan made, memory foreseen."""
