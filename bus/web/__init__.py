"""The HTTP door: the API for portals and people, and the endpoints where outside systems call us."""
