"""The web page of a registered model: a server for one person's browser on this machine."""
