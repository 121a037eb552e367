"""What runs inside LiteLLM's proxy; its folder is on the gateway's PYTHONPATH."""
