"""The web pages: of a registered model for one person's browser, and of questions for many people's."""
