"""FastAPI application: one router per audience."""
