"""Read-only facts about this machine, each with how it was learnt."""
