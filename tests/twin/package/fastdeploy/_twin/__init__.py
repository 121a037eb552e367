"""The machinery of the twin: what a stand-in FastDeploy needs to behave like the measured one."""
